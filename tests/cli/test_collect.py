import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.contracts.errors import ConfigError
from headrace.router.training.record import append_row, kept_rows
from headrace.router.training.table import read_table
from tests.router.training.test_compact import row
from tests.support.replies import Say
from tests.support.upstream import Upstream

RUNNER = CliRunner()
QUESTIONS = [
    {"question_id": f"q{n}", "question": f"Capital number {n}?", "grader": "contains_word", "gold": "Paris"}
    for n in range(6)
]
CONFIG = """
version: 1
backends:
  far:
    urls: ["{url}"]
    model: far-model
    capabilities: [stream, {logprobs}]
    context_tokens: 4096
    price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
tiers: [{{id: only, default: far}}]
virtual_models:
  headrace/auto: {{select: [{{id: all, use: only}}]}}
"""


def write(tmp_path: Path, url: str, *, logprobs: str = "logprobs") -> list[str]:
    """Write a config and a dataset; return the options that name them."""
    config, dataset = tmp_path / "config.yaml", tmp_path / "own.jsonl"
    config.write_text(CONFIG.format(url=url, logprobs=logprobs))
    dataset.write_text("".join(f"{json.dumps(one)}\n" for one in QUESTIONS))
    return ["--config", str(config), "--dataset", str(dataset)]


def run(*arguments: str) -> str:
    result = RUNNER.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


async def collect(options: list[str], out: Path) -> str:
    more = ("--tiers", "only", "--out", str(out), "--samples", "1", "--sampled", "2", "--repeat", "1")
    return await asyncio.to_thread(run, "collect", *options, *more)


async def test_a_tier_is_asked_in_every_form_and_summed_up(tmp_path: Path) -> None:
    async with Upstream() as up:
        up.always(Say(["Pa", "ris"]))
        told = await collect(write(tmp_path, up.url), tmp_path / "run")
        assert len(up.seen) == 6 + 2 + 2 + 1
    assert "6 of 6 greedy ones right" in told
    rows = kept_rows(tmp_path / "run" / "only.jsonl")
    assert {row.form for row in rows} == {"greedy", "sample-1", "confidence", "again"}
    assert {row.model for row in rows} == {"far"}
    assert all(row.cost_microusd > 0 for row in rows)


async def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with Upstream() as up:
        up.always(Say(["Paris"]))
        options = write(tmp_path, up.url)
        await collect(options, tmp_path / "run")
        path = tmp_path / "run" / "only.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
        asked = len(up.seen)
        await collect(options, tmp_path / "run")
        assert len(up.seen) - asked == len(lines) - 4
        await collect(options, tmp_path / "run")
        assert len(up.seen) - asked == len(lines) - 4
    assert len(kept_rows(path)) == len(lines)


async def test_a_run_becomes_a_table(tmp_path: Path) -> None:
    async with Upstream() as up:
        up.always(Say(["Paris"]))
        options = write(tmp_path, up.url)
        await collect(options, tmp_path / "run")
    out = tmp_path / "table.jsonl.gz"
    told = run("compact", "--runs", str(tmp_path / "run"), *options[2:], "--out", str(out))
    assert "6 questions, far" in told
    entries = [*read_table(out, split="calibration"), *read_table(out, split="test")]
    assert {one.question_id for one in entries} == {one["question_id"] for one in QUESTIONS}


async def test_an_interrupt_keeps_what_is_answered(tmp_path: Path) -> None:
    out = tmp_path / "run"
    async with Upstream() as up:
        arrived = asyncio.Event()
        replies = iter([Say(["Paris"]), Say(["Paris"])])

        def answer(_: object) -> Say:
            reply = next(replies, None)
            if reply is None:
                arrived.set()
            return reply or Say(["Paris"], first_s=60)

        up.always(answer)
        options = (*write(tmp_path, up.url), "--tiers", "only", "--out", str(out), "--at-once", "1")
        # A shell's background jobs ignore the signal, and so would this process if the tests run in one.
        listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{listen}; from headrace.cli import main; main()"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, "router", "collect", *options),
            env=dict(os.environ),
            stderr=asyncio.subprocess.PIPE,
        )
        await arrived.wait()
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 130
    assert b"the same command goes on" in errors
    assert 0 < len(kept_rows(out / "only.jsonl")) < 6


def test_what_cannot_be_collected_is_refused_before_anything_starts(tmp_path: Path) -> None:
    options = write(tmp_path, "http://127.0.0.1:9/v1")
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(ConfigError, match=r"no tier 'huge'.*only"):
        RUNNER.invoke(app, ["collect", *options, "--tiers", "huge", *out], catch_exceptions=False)
    with pytest.raises(ConfigError, match="is in another one too"):
        RUNNER.invoke(app, ["collect", *options, *options[2:], "--tiers", "only", *out], catch_exceptions=False)


def test_a_backend_without_log_probabilities_is_refused(tmp_path: Path) -> None:
    options = write(tmp_path, "http://127.0.0.1:9/v1", logprobs="json_schema")
    with pytest.raises(ConfigError, match=r"backends\.far\.capabilities"):
        RUNNER.invoke(
            app, ["collect", *options, "--tiers", "only", "--out", str(tmp_path / "run")], catch_exceptions=False
        )


def test_answers_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    options = write(tmp_path, "http://127.0.0.1:9/v1")
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    append_row(run_folder / "only.jsonl", row("q0", ["Rome"], model="other"))
    with pytest.raises(ConfigError, match="answers of other"):
        RUNNER.invoke(app, ["collect", *options, "--tiers", "only", "--out", str(run_folder)], catch_exceptions=False)


def test_a_folder_without_a_run_gives_no_table(tmp_path: Path) -> None:
    options = write(tmp_path, "http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="no answers"):
        RUNNER.invoke(
            app,
            ["compact", "--runs", str(tmp_path / "empty"), *options[2:], "--out", str(tmp_path / "t")],
            catch_exceptions=False,
        )
