import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def test_there_are_three() -> None:
    assert [path.stem for path in DOCKERFILES] == ["engine-cuda", "engine", "gateway"]


def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    result = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert result.stdout == ""
    assert result.returncode == 0


def test_it_does_not_run_as_root_and_says_how_it_feels(dockerfile: Path) -> None:
    last_stage = re.split(r"^FROM ", dockerfile.read_text(), flags=re.MULTILINE)[-1]
    assert re.search(r"^USER 10001$", last_stage, re.MULTILINE)
    assert "HEALTHCHECK" in last_stage
    assert "ca-certificates" in last_stage


def test_everything_it_copies_is_in_the_repository_and_in_the_build_context(dockerfile: Path) -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in dockerfile.read_text().splitlines():
        if not line.startswith("COPY ") or "--from=" in line:
            continue
        for source in [word for word in line.split()[1:-1] if not word.startswith("--") and word != "."]:
            assert (ROOT / source).exists(), source
            assert any(Path(source).match(pattern) for pattern in let_in), f"{source} is not in the build context"


def test_it_installs_only_from_locks_with_hashes(dockerfile: Path) -> None:
    text = dockerfile.read_text().replace("\\\n", " ")
    installs = [part for part in re.split(r"&&|\n", text) if "pip install" in part]
    assert installs
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes" in install or install.endswith(" .")


def test_the_gateway_image_holds_no_compiler_and_no_torch() -> None:
    text = (ROOT / "docker/gateway.Dockerfile").read_text()
    assert "g++" not in text
    assert "engine" not in text
    assert not re.search(r"^(torch|vllm)", (ROOT / "requirements/serve.lock").read_text(), re.MULTILINE)


def test_what_the_gateway_image_installs_is_what_was_tested() -> None:
    pin = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
    tested = dict(pin.findall((ROOT / "requirements/gateway.lock").read_text()))
    served = dict(pin.findall((ROOT / "requirements/serve.lock").read_text()))
    assert served.items() <= tested.items()


def test_the_entry_point_is_sound_shell() -> None:
    script = ROOT / "docker/engine.sh"
    subprocess.run(["sh", "-n", script], check=True)
    usage = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    assert usage.stderr.startswith("usage: engine prepare")
