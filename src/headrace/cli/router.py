"""`headrace router`: train and evaluate the difficulty model, record the tiers' answers, calibrate the answer judge.

Fitting needs the `train` extra (scikit-learn); it is imported only by the command that fits.
"""

import asyncio
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from headrace.contracts.errors import ConfigError
from headrace.contracts.models import Capability, ModelCard, Price

if TYPE_CHECKING:
    from headrace.router.training.labelled import Question
    from headrace.router.training.record import Row

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, evaluate and calibrate the router.",
)

_RUN_SUFFIX = ".jsonl.gz"


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="folder for card.json and weights.safetensors")],
    table: Annotated[Path | None, typer.Option(help="record of the default tiers (default: the packaged one)")] = None,
) -> None:
    """Train the difficulty model from the shared data; the same data gives the same bytes."""
    assemble, training, corpus, tables = _training("assemble", "train", "corpus", "table")
    card = training.train(assemble.training_examples(corpus.data_dir(), table or tables.PACKAGED), out)
    held = card["held_out"]
    sys.stdout.write(
        f"{out}: {card['examples']:,} examples, Brier {held['brier']:.4f} (base rate {held['brier_of_base_rate']:.4f}),"
        f" weights sha256 {card['weights_sha256']}\n"
    )


@app.command(name="eval")
def evaluate(
    out: Annotated[Path | None, typer.Option(help="page to write the tables into (default: print them)")] = None,
    resamples: Annotated[int, typer.Option(min=2, help="bootstrap resamples")] = 2000,
) -> None:
    """Evaluate the difficulty recipe on all open GSM8K and MMLU questions against every control."""
    yardstick, report, corpus = _training("yardstick", "report", "corpus")
    card = importlib.import_module("headrace.router.difficulty.model").load().card
    evaluations = yardstick.evaluations(corpus.data_dir(), resamples=resamples)
    text = report.tables(evaluations, card, resamples)
    if out is None:
        sys.stdout.write(f"{text}\n")
        return
    page = out.read_text(encoding="utf-8") if out.exists() else ""
    out.write_text(report.replaced(page, text), encoding="utf-8")
    sys.stdout.write(f"{out}: written\n")


@app.command()
def record(
    model: Annotated[str, typer.Option(help="catalogue id to file the answers under")],
    url: Annotated[str, typer.Option(help="OpenAI-compatible base URL that serves it, with /v1")],
    out: Annotated[Path, typer.Option(help="folder for the runs")],
    served_as: Annotated[str | None, typer.Option(help="the model's name at that URL (default: the id)")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="requests in flight")] = 32,
) -> None:
    """Put the labelled questions to one model and grade the answers; an interrupted run goes on where it stopped.

    HEADRACE_UPSTREAM_KEY is sent as the upstream's key.
    """
    labelled, corpus, recording = _training("labelled", "corpus", "record")
    sets = dict(
        zip(("calibration", "benchmark"), labelled.draw(labelled.read_labelled(corpus.data_dir())), strict=True)
    )
    for name, questions in sets.items():
        path = out / f"{model}.{name}{_RUN_SUFFIX}"
        partial = path.with_suffix(".partial")
        kept = {row.question_id: row for row in recording.kept_rows(partial)}
        missing = [one for one in questions if one.question_id not in kept]
        upstream = _Upstream(model, url, served_as or model)
        for row in asyncio.run(_record(missing, upstream, at_once=at_once, keep=partial)):
            kept[row.question_id] = row
        rows = [kept[one.question_id] for one in questions]
        recording.write_rows(path, rows)
        partial.unlink(missing_ok=True)
        sys.stdout.write(f"{path}: {sum(row.correct for row in rows)} of {len(rows)} right\n")


@app.command()
def compact(
    runs: Annotated[Path, typer.Option(help="folder of runs made by `record`")],
    which: Annotated[str, typer.Option("--set", help="calibration or benchmark")],
    out: Annotated[Path, typer.Option(help="table to write (.jsonl.gz)")],
) -> None:
    """Join the runs of several models into one small table without answer texts."""
    labelled, corpus, recording, tables = _training("labelled", "corpus", "record", "table")
    sets = dict(
        zip(("calibration", "benchmark"), labelled.draw(labelled.read_labelled(corpus.data_dir())), strict=True)
    )
    if which not in sets:
        raise ConfigError(f"--set {which!r}: one of {', '.join(sets)}")
    ending = f".{which}{_RUN_SUFFIX}"
    found = {path.name.removesuffix(ending): recording.read_rows(path) for path in sorted(runs.glob(f"*{ending}"))}
    if not found:
        raise ConfigError(f"{runs}: no runs of the {which} set; make them with `headrace router record`")
    entries = tables.compact(sets[which], found)
    tables.write_table(out, entries)
    sys.stdout.write(f"{out}: {len(entries)} questions, {', '.join(found)}\n")


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(help="calibration file to write (.json)")],
    run: Annotated[Path | None, typer.Option(help="table of answers (default: the packaged record)")] = None,
) -> None:
    """Fit the answer judge on a table of graded answers."""
    calibration, tables = _training("calibrate", "table")
    judge = calibration.calibrate(tables.read_table(run or tables.PACKAGED))
    calibration.write_calibration(out, judge)
    sys.stdout.write(f"{out}: {', '.join(sorted(judge['models']))}\n")


@dataclass(frozen=True, slots=True)
class _Upstream:
    """Where a model is served: catalogue id, base URL, its name there."""

    model: str
    url: str
    served_as: str


async def _record(questions: "Sequence[Question]", upstream: _Upstream, *, at_once: int, keep: Path) -> "list[Row]":
    from headrace.models.backends.client import HttpBackend  # noqa: PLC0415  (kept off the other commands' path)
    from headrace.models.backends.encode import EndpointSpec  # noqa: PLC0415
    from headrace.models.backends.watchdog import Timeouts  # noqa: PLC0415
    from headrace.models.backends.wire import Pool  # noqa: PLC0415
    from headrace.router.training.record import DEADLINE_S, append_row  # noqa: PLC0415
    from headrace.router.training.record import record as run  # noqa: PLC0415

    free = Price(Decimal(0), Decimal(0))
    capabilities: frozenset[Capability] = frozenset({"stream", "logprobs", "json_schema"})
    with Progress() as progress:
        bar = progress.add_task(upstream.model, total=len(questions))

        def on_row(row: "Row") -> None:
            append_row(keep, row)
            progress.advance(bar)

        async with Pool() as pool:
            backend = HttpBackend(
                id=upstream.model,
                card=ModelCard(upstream.model, context_tokens=2048, capabilities=capabilities, price=free),
                endpoints=[EndpointSpec(url=upstream.url, api_key=os.environ.get("HEADRACE_UPSTREAM_KEY", ""))],
                pool=pool,
                timeouts=Timeouts(first_byte_s=DEADLINE_S, between_s=DEADLINE_S),
                upstream_model=upstream.served_as,
            )
            clock = asyncio.get_running_loop().time
            return await run(backend, upstream.model, questions, at_once=at_once, clock=clock, on_row=on_row)


def _training(*names: str) -> tuple[Any, ...]:
    """Import modules of router.training, or say which extra is missing."""
    try:
        return tuple(importlib.import_module(f"headrace.router.training.{name}") for name in names)
    except ModuleNotFoundError as exc:
        if exc.name and exc.name.split(".")[0] == "headrace":
            raise
        raise ConfigError(f"{exc.name} is not installed: pip install 'headrace[gateway,train]'") from exc
