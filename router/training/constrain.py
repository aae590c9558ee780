"""From a budget of money or time to the floor of a two-tier cascade, by constrained choice on recorded outcomes. Pure.

A higher floor escalates more: answers get better, dearer and later, never the reverse. So the best floor within a
budget is the highest one that still keeps it. Choose on the calibration split; the budget is then an expectation.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

# Above every score: all is escalated. Below every score: all is kept.
ALL: Final = math.inf
NONE: Final = -math.inf


@dataclass(frozen=True, slots=True)
class Draft:
    """What the cheap tier made of one question, and what escalating it brings. Costs in micro-USD.

    The cheap tier is always paid for; escalation adds the other tier's cost and time.
    """

    score: float
    right: bool
    cost: float
    seconds: float
    other_right: bool
    other_cost: float
    other_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a floor makes of many questions. right, escalated: shares. seconds: at the share asked for."""

    right: float
    cost: float
    seconds: float
    escalated: float


def threshold_for_cost(drafts: Sequence[Draft], budget: float) -> float:
    """Return the highest floor whose mean cost stays within the budget (micro-USD a question), NONE if none does."""
    return _highest(drafts, lambda floor: realised(drafts, floor).cost <= budget)


def threshold_for_latency(drafts: Sequence[Draft], limit_s: float, *, share: float) -> float:
    """Return the highest floor at which `share` of the questions are answered within the limit, NONE if none does."""
    return _highest(drafts, lambda floor: realised(drafts, floor, share=share).seconds <= limit_s)


def realised(drafts: Sequence[Draft], floor: float, *, share: float = 0.95) -> Outcome:
    """Return what a floor makes of the drafts; those that score above it are kept."""
    escalates = [draft.score <= floor for draft in drafts]
    pairs = list(zip(drafts, escalates, strict=True))
    seconds = sorted(draft.seconds + (draft.other_seconds if up else 0.0) for draft, up in pairs)
    return Outcome(
        right=sum(draft.other_right if up else draft.right for draft, up in pairs) / len(pairs),
        cost=sum(draft.cost + (draft.other_cost if up else 0.0) for draft, up in pairs) / len(pairs),
        seconds=seconds[min(math.ceil(share * len(seconds)), len(seconds)) - 1],
        escalated=sum(escalates) / len(pairs),
    )


def _highest(drafts: Sequence[Draft], keeps: Callable[[float], bool]) -> float:
    """Bisect over the scores: what a floor keeps is kept by every lower one."""
    floors = [NONE, *sorted({draft.score for draft in drafts}), ALL]
    low, high = 0, len(floors) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if keeps(floors[middle]) else (low, middle - 1)
    return floors[low]
