"""Joins what people said of answers with the logged decisions: what the ledger lets training learn, and no more.

The ledger holds features and never a prompt, so no text can be learnt from; what can be learnt is by how much a
prediction is off. An answer counts where the logged policy chose its tier by a known chance and the client got it
unjudged: 1 over that chance makes it stand for the requests that went elsewhere. A draft that was judged first is left
out, for only those are ever seen that the judge believed in; so is what came after a rejected draft, a failure or a
panel's vote. That people say something must not depend on how good an answer is; no weighting can mend that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from headrace.router.difficulty.model import moved
from headrace.router.replay.log import Entry, Log

MOST_WEIGHT: Final = 20.0


class Cell(msgspec.Struct, frozen=True, order=True):
    """What has one offset: a model in a domain."""

    model: str
    domain: str


class Heard(msgspec.Struct, frozen=True):
    """One answer that somebody judged.

    predicted: a probability, as it was before feedback ever taught anything. score: what it turned out to be, 0..1.
    weight: 1 over the logged chance of the tier, at most 20.
    """

    decision: str
    cell: Cell
    predicted: float
    score: float
    weight: float


Offsets = Mapping[Cell, float]
Known = Mapping[str, Offsets]
Told = Callable[[Entry, float], tuple[float, float] | str]


@dataclass(frozen=True, slots=True)
class Join:
    """What can be learnt from, and why the rest cannot: reason -> how many feedbacks."""

    heard: tuple[Heard, ...]
    left_out: Mapping[str, int]


def about_difficulty(small: str) -> Told:
    """Return what an answer of the weakest tier's model tells of the difficulty: the gain, large taken as right."""

    def told(entry: Entry, score: float) -> tuple[float, float] | str:
        if entry.plan.targets[0].model != small:
            return f"of another model than {small}"
        if entry.features.unfamiliar:
            return "of a question unlike training"
        return entry.features.difficulty, 1.0 - score

    return told


def about_quality(entry: Entry, score: float) -> tuple[float, float] | str:
    """Return what an answer tells of its model's predicted quality."""
    predicted = entry.features.quality.get(entry.attempts[-1].backend)
    return "no quality was predicted" if predicted is None else (predicted, score)


def join(log: Log, artefact: str, known: Known, told: Told) -> Join:
    """Join the log's feedback with its decisions.

    artefact: "difficulty" or "quality", whose predictions are to be judged. known: sha256 of every such artefact that
    differs from the one being trained by nothing but offsets, and these; they are taken out again.
    """
    entries = {entry.decision: entry for entry in log.entries}
    heard: list[Heard] = []
    left_out: dict[str, int] = {}
    for decision, score in log.feedback.items():
        entry = entries.get(decision)
        why = "of no decision in the ledger" if entry is None else _why_not(entry, artefact, known)
        found = why or told(entry, score) if entry is not None else why
        if entry is None or isinstance(found, str):
            left_out[str(found)] = left_out.get(str(found), 0) + 1
            continue
        cell = Cell(entry.plan.targets[0].model, entry.features.domain)
        predicted = moved(found[0], -known[entry.artefacts[artefact]].get(cell, 0.0))
        weight = min(1.0 / entry.plan.propensity, MOST_WEIGHT)
        heard.append(Heard(decision, cell, predicted, found[1], weight))
    return Join(tuple(heard), dict(sorted(left_out.items())))


def _why_not(entry: Entry, artefact: str, known: Known) -> str:
    """Return why the feedback on a decision tells nothing of any prediction, empty where it may."""
    first = entry.plan.targets[0]
    if entry.artefacts.get(artefact) not in known:
        return f"decided with another {artefact} model, or none"
    if entry.answered_by != first.model:
        return "after a first answer that was rejected or failed"
    if first.judged:
        return "of a draft that was judged before it was sent"
    if any(attempt.outcome in {"outvoted", "consulted"} for attempt in entry.attempts):
        return "of a panel"
    return ""
