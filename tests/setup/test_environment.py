from collections.abc import Sequence
from pathlib import Path

import pytest

from headrace.contracts.errors import SetupError
from headrace.setup import environment, pip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    for name in ("engine", "engine-torch", "engine-cuda"):
        (requirements / f"{name}.lock").write_text(f"{name}==1 --hash=sha256:00\n")
    (tmp_path / "pyproject.toml").touch()
    python = environment.engine_python(tmp_path)
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path


class Index:
    """Stands for pip: installs nothing, lacks torch in the configured index, and loses the network once."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, ...]] = []
        self.is_cut = True

    def install(self, python: Path, arguments: Sequence[str], *, total: int, log: Path, report: pip.Report) -> None:
        self.runs.append(tuple(arguments))
        report(f"{total} packages for {python} in {log}", 0, total)
        if arguments[-1].endswith("engine-torch.lock") and "--index-url" not in arguments:
            raise SetupError(f"pip failed: {pip.NOT_THERE} for torch")
        if arguments[-1].endswith("engine.lock") and self.is_cut:
            self.is_cut = False
            raise SetupError("pip failed: the network is gone")


@pytest.fixture
def index() -> Index:
    return Index()


def build(repository: Path, index: Index) -> None:
    log = repository / "log"
    environment.build(repository, has_gpu=False, log=log, report=lambda *_: None, install=index.install)


def names(repository: Path, *, has_gpu: bool = False) -> list[str]:
    return [step.name for step in environment.missing(repository, has_gpu=has_gpu)]


def test_finished_steps_are_kept_when_a_later_one_fails(repository: Path, index: Index) -> None:
    with pytest.raises(SetupError, match="network"):
        build(repository, index)
    assert names(repository) == ["vllm", "headrace"]
    build(repository, index)
    assert names(repository) == []
    assert len(index.runs) == 5


def test_torch_comes_from_its_own_index_only_when_the_configured_one_lacks_it(repository: Path, index: Index) -> None:
    with pytest.raises(SetupError, match="network"):
        build(repository, index)
    assert "--index-url" not in index.runs[0]
    assert index.runs[1][:2] == ("--index-url", environment.CPU_TORCH_INDEX)


def test_a_changed_lock_builds_its_step_anew(repository: Path, index: Index) -> None:
    with pytest.raises(SetupError, match="network"):
        build(repository, index)
    build(repository, index)
    (repository / "requirements/engine.lock").write_text("engine==2 --hash=sha256:00\n")
    assert names(repository) == ["vllm"]


def test_a_machine_with_a_gpu_takes_torch_with_cuda(repository: Path) -> None:
    (first, _) = environment.steps(repository, has_gpu=True)
    assert first.arguments[-1].endswith("engine-cuda.lock")


def test_every_install_is_of_locked_hashes_and_pulls_nothing_else(repository: Path) -> None:
    for step in environment.steps(repository, has_gpu=False)[:-1]:
        assert step.arguments[:2] == ("--no-deps", "--require-hashes")


def test_the_environment_can_really_be_created(repository: Path) -> None:
    python = environment.engine_python(repository)
    python.unlink()
    environment._create(repository / environment.FOLDER)
    assert python.exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot create"):
        environment._create(tmp_path / "file" / "under")
