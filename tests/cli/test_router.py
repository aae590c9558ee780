import importlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.contracts.errors import ConfigError
from headrace.router.cascade.acceptance import load as load_judge

RUNNER = CliRunner()


def run(*args: str) -> str:
    result = RUNNER.invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_packaged_calibration_is_what_the_packaged_record_gives(tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    assert "smollm2-135m-instruct-int8" in run("calibrate", "--out", str(out))
    assert load_judge(out).sha256 == load_judge().sha256


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.import_module

    def without_sklearn(name: str, *args: Any) -> Any:
        if name.startswith("headrace.router.training"):
            raise ModuleNotFoundError(name="sklearn")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without_sklearn)
    with pytest.raises(ConfigError, match=r"sklearn is not installed.*train"):
        RUNNER.invoke(app, ["train", "--out", str(tmp_path)], catch_exceptions=False)


def test_the_commands_are_told() -> None:
    text = run("--help")
    for name in ("train", "eval", "collect", "compact", "calibrate"):
        assert name in text
