"""`headrace router`: train and evaluate the question-side models, score, collect answers, calibrate the answer judge.

Fitting needs the `train` extra (scikit-learn); it is imported only by the command that fits.
"""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from headrace.cli.collect import collect, compact
from headrace.cli.score import score
from headrace.cli.tune import tune_
from headrace.contracts.errors import ConfigError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, evaluate and calibrate the router.",
)

app.command()(collect)
app.command()(compact)
app.command()(score)
app.command(name="tune")(tune_)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="folder for card.json and weights.safetensors")],
    table: Annotated[Path | None, typer.Option(help="record of the default tiers (default: the packaged one)")] = None,
    model: Annotated[Literal["difficulty", "quality"], typer.Option(help="which of the two models")] = "difficulty",
) -> None:
    """Train a question-side model from the shared data; the same data gives the same bytes."""
    if model == "quality":
        _train_quality(out, table)
        return
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
def calibrate(
    out: Annotated[Path, typer.Option(help="calibration file to write (.json)")],
    run: Annotated[Path | None, typer.Option(help="table of answers (default: the packaged record)")] = None,
) -> None:
    """Fit the answer judge on a table of graded answers."""
    calibration, tables = _training("calibrate", "table")
    judge = calibration.calibrate(tables.read_table(run or tables.PACKAGED, split="calibration"))
    calibration.write_calibration(out, judge)
    sys.stdout.write(f"{out}: {', '.join(sorted(judge['models']))}\n")


@app.command(name="hold-out")
def hold_out(
    out: Annotated[Path | None, typer.Option(help="file to write (default: the packaged one)")] = None,
    table: Annotated[Path | None, typer.Option(help="record of answers (default: the packaged one)")] = None,
) -> None:
    """Judge the record's questions by difficulty models that have not learned from them (for `tune`); some minutes."""
    apart, assemble, corpus, held, tables = _training("apart", "assemble", "corpus", "held_out", "table")
    source, path = table or tables.PACKAGED, out or held.PACKAGED
    entries = [one for one in tables.read_table(source, split="calibration") if not one.as_json]
    judged = apart.judged_apart(assemble.training_examples(corpus.data_dir(), source), entries)
    artefact = importlib.import_module("headrace.router.difficulty.model").load().sha256
    held.write_held_out(path, judged, artefact=artefact)
    sys.stdout.write(f"{path}: {len(judged)} questions\n")


def _train_quality(out: Path, table: Path | None) -> None:
    panels, training, corpus, tables = _training("panels", "train_quality", "corpus", "table")
    entries = tables.read_table(table or tables.PACKAGED, split="calibration")
    card = training.train_quality(panels.read_panels(corpus.data_dir(), entries), out)
    known = {name for about in card["panels"].values() for name in about["models"]}
    sys.stdout.write(
        f"{out}: {len(card['panels'])} panels, {len(known)} models, weights sha256 {card['weights_sha256']}\n"
    )


def _training(*names: str) -> tuple[Any, ...]:
    """Import modules of router.training, or say which extra is missing."""
    try:
        return tuple(importlib.import_module(f"headrace.router.training.{name}") for name in names)
    except ModuleNotFoundError as exc:
        if exc.name and exc.name.split(".")[0] == "headrace":
            raise
        raise ConfigError(f"{exc.name} is not installed: pip install 'headrace[gateway,train]'") from exc
