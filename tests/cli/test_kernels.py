import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli import COMMANDS
from headrace.cli.kernels import app
from headrace.contracts.errors import SetupError, StoreError

SPEAKS = '#!/bin/sh\necho "$@"\nexit 3\n'


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Stand for the engine environment's interpreter: prints what it was asked."""
    path = tmp_path / "python"
    path.write_text(SPEAKS)
    path.chmod(0o755)
    return path


def run(*arguments: str) -> tuple[int, BaseException | None]:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, result.exception


def test_the_doctor_runs_in_the_engines_environment(
    python: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "kernels" in COMMANDS
    assert run("--engine-python", str(python), "--model", str(tmp_path), "--json")[0] == 3
    assert capfd.readouterr().out.split() == [
        "-P", "-m", "headrace.kernels.doctor", "--model", str(tmp_path), "--json",
    ]  # fmt: skip
    assert "torch" not in sys.modules


def test_without_that_environment_the_cure_is_told(tmp_path: Path) -> None:
    _, error = run("--engine-python", str(tmp_path / "none"))
    assert isinstance(error, SetupError)
    assert "make setup" in error.message


def test_an_unknown_model_is_told_before_anything_runs(
    python: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    _, error = run("--engine-python", str(python), "--model", "no-such-model")
    assert isinstance(error, StoreError)
