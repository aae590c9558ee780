"""Collecting from a real engine, started and ended by the command itself."""

import json
import math
from pathlib import Path

import psutil
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.gateway.settings.load import packaged
from headrace.router.training.record import kept_rows
from headrace.router.training.table import read_table

QUESTIONS = [
    {
        "question_id": "capital",
        "question": "What is the capital of France?",
        "grader": "contains_word",
        "gold": "Paris",
    },
    {
        "question_id": "form",
        "question": "Name the capital of Italy as JSON.",
        "grader": "json_schema",
        "gold": {"schema": {"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}},
    },
]


def test_an_engine_is_asked_in_every_form_and_ended(tmp_path: Path) -> None:
    dataset, out, table = tmp_path / "own.jsonl", tmp_path / "run", tmp_path / "table.jsonl.gz"
    dataset.write_text("".join(f"{json.dumps(one)}\n" for one in QUESTIONS))
    asked = ("--config", str(packaged()), "--tiers", "small", "--samples", "1", "--sampled", "1", "--repeat", "1")
    runs = (
        ("collect", "--dataset", str(dataset), "--out", str(out), *asked),
        ("compact", "--runs", str(out), "--dataset", str(dataset), "--out", str(table)),
    )
    for arguments in runs:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    rows = {(row.question_id, row.form): row for row in kept_rows(out / "small.jsonl")}
    assert len(rows) == 2 + 1 + 1 + 1
    for row in rows.values():
        assert len(row.tokens) == len(row.logprobs) == len(row.tops) == len(row.token_s) > 0
        assert all(len(tops) >= 5 and math.exp(max(tops)) <= 1.0 + 1e-6 for tops in row.tops)
        assert 0 < row.ttft_s <= row.seconds
    assert rows["capital", "greedy"].correct
    assert rows["form", "greedy"].correct
    entries = [*read_table(table, split="calibration"), *read_table(table, split="test")]
    assert {one.question_id for one in entries} == {"capital", "form"}
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(out) in " ".join(one.info["cmdline"] or [])]
