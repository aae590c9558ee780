import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.contracts.errors import ConfigError
from headrace.router.cascade.acceptance import load as load_judge
from headrace.router.training.record import Row, read_rows, write_rows
from headrace.router.training.table import read_table
from tests.router.training.conftest import write_lines
from tests.support.replies import Say
from tests.support.upstream import Upstream

RUNNER = CliRunner()


def run(*args: str) -> str:
    result = RUNNER.invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def labelled(folder: Path) -> None:
    """One easy question a file; enough for the draw, quick to record."""
    rows = {
        "easy": {"question_id": "easy-1", "kind": "fact", "question": "Capital of France?", "answers": ["Paris"]},
        "gsm8k_train": {"question_id": "g1", "question": "1 + 1?", "answer": "2", "steps": 1},
        "humaneval": {
            "question_id": "HumanEval/0",
            "question": "Write f.",
            "prompt": "def f(x):\n",
            "entry_point": "f",
            "test": "def check(c):\n    assert c(1) == 1",
        },
    }
    for name, row in rows.items():
        write_lines(folder / "labelled" / f"{name}.jsonl.gz", [row])
    (folder / "routing").mkdir()


def row(question_id: str) -> Row:
    return Row(
        question_id=question_id,
        kind="fact",
        model="m",
        as_json=False,
        correct=True,
        text="Paris",
        finish_reason="stop",
        tokens=["Paris"] * 10,
        logprobs=[-0.1] * 10,
        token_s=[0.1] * 10,
        prompt_tokens=5,
        seconds=0.5,
    )


async def test_recording_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    out = tmp_path / "runs"
    async with Upstream() as up:
        up.always(Say(["Pa", "ris"]))
        arguments = ("record", "--model", "m", "--url", up.url, "--out", str(out))
        await asyncio.to_thread(run, *arguments)
        asked = len(up.seen)
        calibration = read_rows(out / "m.calibration.jsonl.gz")
        partial = out / "m.calibration.jsonl.partial"
        assert not partial.exists()
        partial.write_bytes(b'{"cut')
        await asyncio.to_thread(run, *arguments)
    assert {one.question_id for one in calibration} == {"easy-1", "easy-1#json", "g1", "HumanEval/0"}
    assert next(one for one in calibration if one.question_id == "easy-1").correct
    assert len(up.seen) == 2 * asked


def test_runs_become_a_table_and_a_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    write_rows(tmp_path / "runs" / "m.calibration.jsonl.gz", [row("easy-1")])
    table = tmp_path / "table.jsonl.gz"
    run("compact", "--runs", str(tmp_path / "runs"), "--set", "calibration", "--out", str(table))
    assert [one.question_id for one in read_table(table)] == ["easy-1"]


def test_the_packaged_calibration_is_what_the_packaged_record_gives(tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    assert "smollm2-135m-instruct-int8" in run("calibrate", "--out", str(out))
    assert load_judge(out).sha256 == load_judge().sha256


def test_an_unknown_set_and_an_empty_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    for chosen, told in (("nonsense", "nonsense"), ("benchmark", "no runs")):
        arguments = ["compact", "--runs", str(tmp_path), "--set", chosen, "--out", str(tmp_path / "t")]
        with pytest.raises(ConfigError, match=told):
            RUNNER.invoke(app, arguments, catch_exceptions=False)


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
    for name in ("train", "eval", "record", "compact", "calibrate"):
        assert name in text
