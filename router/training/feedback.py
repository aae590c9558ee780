"""Joins what people said of answers with the logged decisions: what the ledger lets training learn, and no more.

The ledger holds features and never a prompt, so no text can be learnt from; what can be learnt is by how much a
prediction is off. An answer counts where the logged policy chose its tier by a known chance and the client got it
unjudged: 1 over that chance makes it stand for the requests that went elsewhere. A draft that was judged first is left
out, for only those are ever seen that the judge believed in; so is what came after a rejected draft, a failure or a
panel's vote. That people say something must not depend on how good an answer is; no weighting can mend that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from headrace.router.difficulty.model import moved
from headrace.router.replay.log import Entry, Log

MOST_WEIGHT: Final = 20.0

Offsets = Mapping[str, float]


class Heard(msgspec.Struct, frozen=True):
    """One answer of the small tier that somebody judged.

    predicted: P(it is right), as 1 - difficulty. score: what was said of it, 0..1. weight: 1 over the logged chance of
    the tier, at most 20.
    """

    decision: str
    domain: str
    predicted: float
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Join:
    """What can be learnt from, and why the rest cannot: reason -> how many feedbacks."""

    heard: tuple[Heard, ...]
    left_out: Mapping[str, int]


def join(log: Log, small: str, known: Mapping[str, Offsets]) -> Join:
    """Join the log's feedback with its decisions. small: the model whose answers tell.

    known: sha256 of each difficulty artefact whose predictions can be told apart from what feedback added to them,
    with that (domain -> logit); it is taken out again.
    """
    entries = {entry.decision: entry for entry in log.entries}
    heard: list[Heard] = []
    left_out: dict[str, int] = {}
    for decision, score in log.feedback.items():
        entry = entries.get(decision)
        why = "no decision of that id is in the ledger" if entry is None else _why_not(entry, small, known)
        if entry is None or why:
            left_out[why] = left_out.get(why, 0) + 1
            continue
        added = known[entry.artefacts["difficulty"]].get(entry.features.domain, 0.0)
        predicted = 1.0 - moved(entry.features.difficulty, -added)
        weight = min(1.0 / entry.plan.propensity, MOST_WEIGHT)
        heard.append(Heard(decision, entry.features.domain, predicted, score, weight))
    return Join(tuple(heard), dict(sorted(left_out.items())))


def _why_not(entry: Entry, small: str, known: Mapping[str, Offsets]) -> str:
    """Return why the feedback on a decision tells nothing, empty where it does."""
    first = entry.plan.targets[0]
    if entry.artefacts.get("difficulty") not in known:
        return "decided with another difficulty model"
    if first.model != small or entry.answered_by != small:
        return "another model answered"
    if first.judged:
        return "the draft was judged before it was sent"
    if any(attempt.outcome in {"outvoted", "consulted"} for attempt in entry.attempts):
        return "asked side by side with others"
    return "the question was unlike training" if entry.features.unfamiliar else ""
