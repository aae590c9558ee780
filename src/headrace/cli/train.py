"""`headrace router train`: the question-side models from the shared data, and from what people said of answers.

Fitting needs the `train` extra (scikit-learn); it is imported only here, when a command fits.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from headrace.cli.replay import ledger_files, lines
from headrace.contracts.errors import ConfigError
from headrace.router.replay.log import Log, read_ledger


def train_(
    out: Annotated[Path, typer.Option(help="folder for card.json and weights.safetensors")],
    table: Annotated[Path | None, typer.Option(help="record of the default tiers (default: the packaged one)")] = None,
    model: Annotated[Literal["difficulty", "quality"], typer.Option(help="which of the two models")] = "difficulty",
    ledger: Annotated[
        list[Path] | None, typer.Option(help="ledger folder or file whose feedback is learnt from")
    ] = None,
    small: Annotated[
        str | None, typer.Option(help="with --ledger: the weakest tier's model (default: SmolLM2)")
    ] = None,
) -> None:
    """Train a question-side model from the shared data; the same data gives the same bytes."""
    log = read_ledger(_lines(ledger)) if ledger else None
    learn, assemble = modules("learn", "assemble")
    before = learn.offsets_in(out, model) if log is not None else {}
    train = _train_quality if model == "quality" else _train_difficulty
    train(out, table)
    if log is not None:
        joined, found = learn.learn_from(log, out, model, small=small or assemble.SMALL, before=before)
        sys.stdout.write("".join(f"{line}\n" for line in [*_unread(log), *_unused(joined), *_told(out, found)]))


def modules(*names: str) -> tuple[Any, ...]:
    """Import modules of router.training, or say which extra is missing."""
    try:
        return tuple(importlib.import_module(f"headrace.router.training.{name}") for name in names)
    except ModuleNotFoundError as exc:
        if exc.name and exc.name.split(".")[0] == "headrace":
            raise
        raise ConfigError(f"{exc.name} is not installed: pip install 'headrace[gateway,train]'") from exc


def _train_difficulty(out: Path, table: Path | None) -> None:
    assemble, training, nearest, corpus, tables = modules("assemble", "train", "nearest", "corpus", "table")
    examples = assemble.training_examples(corpus.data_dir(), table or tables.PACKAGED)
    card = training.train(examples, out)
    shown = nearest.write_nearest(examples, corpus.data_dir(), out)
    held = card["held_out"]
    sys.stdout.write(
        f"{out}: {card['examples']:,} examples, Brier {held['brier']:.4f} (base rate {held['brier_of_base_rate']:.4f}),"
        f" weights sha256 {card['weights_sha256']}; {shown['questions']:,} questions to explain with\n"
    )


def _train_quality(out: Path, table: Path | None) -> None:
    panels, training, corpus, tables = modules("panels", "train_quality", "corpus", "table")
    entries = tables.read_table(table or tables.PACKAGED, split="calibration")
    card = training.train_quality(panels.read_panels(corpus.data_dir(), entries), out)
    known = {name for about in card["panels"].values() for name in about["models"]}
    sys.stdout.write(
        f"{out}: {len(card['panels'])} panels, {len(known)} models, weights sha256 {card['weights_sha256']}\n"
    )


def _lines(ledgers: list[Path]) -> Iterator[Any]:
    for ledger in ledgers:
        yield from lines(ledger_files(ledger))


def _unread(log: Log) -> Iterator[str]:
    """Yield what of the ledger could not be read."""
    if log.torn:
        yield f"ledger: {log.torn} torn lines skipped"
    if log.faulty:
        yield f"ledger: {log.faulty} lines that are no whole records skipped; the first: {log.first_faulty}"


def _unused(joined: Any) -> Iterator[str]:  # noqa: ANN401  (of a module that needs the train extra)
    for why, count in joined.left_out.items():
        yield f"feedback: {count} left out: {why}"


def _told(out: Path, found: Any) -> Iterator[str]:  # noqa: ANN401  (same)
    """Yield what feedback taught, and whether the artefact has it."""
    if found.change is None:
        yield f"feedback: {found.answers} answers tell something, too few to learn from; {out} is as trained without it"
        return
    change = found.change
    yield (
        f"feedback: {found.answers} answers, log loss out of fold {found.loss_before:.4f} as trained,"
        f" {found.loss_after:.4f} with offsets: {change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
    )
    if not found.is_better:
        yield f"feedback: no better than doing nothing, the interval reaches 0; {out} is as trained without it"
        return
    yield f"feedback: {out} has them, on the logit:"
    for cell, offset in found.offsets.items():
        yield f"  {cell.model}, {cell.domain}: {offset:+.2f}"
