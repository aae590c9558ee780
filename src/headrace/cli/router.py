"""`headrace router`: train and evaluate the question-side models, score, collect answers, calibrate the answer judge.

Fitting needs the `train` extra (scikit-learn); it is imported only by the command that fits.
"""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.collect import collect, compact
from headrace.cli.score import score
from headrace.cli.train import modules, train_
from headrace.cli.tune import tune_

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, evaluate and calibrate the router.",
)

app.command()(collect)
app.command()(compact)
app.command()(score)
app.command(name="train")(train_)
app.command(name="tune")(tune_)


@app.command(name="eval")
def evaluate(
    out: Annotated[Path | None, typer.Option(help="page to write the tables into (default: print them)")] = None,
    resamples: Annotated[int, typer.Option(min=2, help="bootstrap resamples")] = 2000,
) -> None:
    """Evaluate the difficulty recipe on all open GSM8K and MMLU questions against every control."""
    yardstick, report, corpus = modules("yardstick", "report", "corpus")
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
    calibration, tables = modules("calibrate", "table")
    judge = calibration.calibrate(tables.read_table(run or tables.PACKAGED, split="calibration"))
    calibration.write_calibration(out, judge)
    sys.stdout.write(f"{out}: {', '.join(sorted(judge['models']))}\n")


@app.command(name="hold-out")
def hold_out(
    out: Annotated[Path | None, typer.Option(help="file to write (default: the packaged one)")] = None,
    table: Annotated[Path | None, typer.Option(help="record of answers (default: the packaged one)")] = None,
) -> None:
    """Judge the record's questions by difficulty models that have not learned from them (for `tune`); some minutes."""
    apart, assemble, corpus, held, tables = modules("apart", "assemble", "corpus", "held_out", "table")
    source, path = table or tables.PACKAGED, out or held.PACKAGED
    entries = [one for one in tables.read_table(source, split="calibration") if not one.as_json]
    judged = apart.judged_apart(assemble.training_examples(corpus.data_dir(), source), entries)
    artefact = importlib.import_module("headrace.router.difficulty.model").load().sha256
    held.write_held_out(path, judged, artefact=artefact)
    sys.stdout.write(f"{path}: {len(judged)} questions\n")
