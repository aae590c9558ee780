"""Measures a question-side router: APGR, CPT, accuracy at a share of strong calls, with bootstrap intervals by group.

PGR(r) = (acc(r) - acc(weak)) / (acc(strong) - acc(weak)) when the share r of questions with the highest scores goes to
the strong model. APGR is the area under PGR over every share (random: 0.5; the oracle can exceed 1). CPT(x) is the
least share that reaches PGR x. Definitions: RouteLLM, arXiv 2406.18665, with the trapezoid over every share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the two models of a pair made of the same questions. group: index of the resampling unit of each."""

    weak: Doubles
    strong: Doubles
    group: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Measured:
    """One router on one set. versus_length: paired difference of APGR to prompt length."""

    apgr: Interval
    cpt50: Interval
    cpt80: Interval
    half_accuracy: float
    versus_length: Interval


def apgr(score: Doubles, outcomes: Outcomes) -> float:
    """Return the area under PGR over the share of strong calls, highest scores first (ties in the given order)."""
    curve = _pgr(score, outcomes.weak, outcomes.strong)
    return float(np.trapezoid(curve, dx=1.0 / (curve.size - 1)))


def cpt(score: Doubles, outcomes: Outcomes, target: float) -> float:
    """Return the least share of strong calls at which PGR reaches `target`."""
    return _reach(_pgr(score, outcomes.weak, outcomes.strong), target)


def measure(
    scores: Mapping[str, Doubles], outcomes: Outcomes, *, baseline: str, seed: int, resamples: int = RESAMPLES
) -> dict[str, Measured]:
    """Measure every router on the same resamples, so that differences to `baseline` are paired."""
    draws = {name: np.empty((resamples, 3)) for name in scores}
    for number, rows in enumerate(resampled(outcomes.group, resamples, seed)):
        weak, strong = outcomes.weak[rows], outcomes.strong[rows]
        for name, score in scores.items():
            draws[name][number] = _figures(_pgr(score[rows], weak, strong))
    result = {}
    base = _figures(_pgr(scores[baseline], outcomes.weak, outcomes.strong))[0]
    for name, score in scores.items():
        curve = _pgr(score, outcomes.weak, outcomes.strong)
        point = _figures(curve)
        gap = float(outcomes.strong.mean() - outcomes.weak.mean())
        result[name] = Measured(
            apgr=interval(point[0], draws[name][:, 0]),
            cpt50=interval(point[1], draws[name][:, 1]),
            cpt80=interval(point[2], draws[name][:, 2]),
            half_accuracy=float(outcomes.weak.mean()) + gap * float(curve[curve.size // 2]),
            versus_length=interval(point[0] - base, draws[name][:, 0] - draws[baseline][:, 0]),
        )
    return result


def resampled(group: npt.NDArray[np.int64], times: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield `times` bootstrap draws of rows; whole groups are drawn, with replacement."""
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    rng = np.random.default_rng(seed)
    for _ in range(times):
        yield np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])


def interval(value: float, draws: Doubles) -> Interval:
    """Return a figure with the 2.5% and 97.5% quantiles of its draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(float(value), float(low), float(high))


def group_numbers(groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the groups."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def _figures(curve: Doubles) -> tuple[float, float, float]:
    area = float(np.trapezoid(curve, dx=1.0 / (curve.size - 1)))
    return area, _reach(curve, 0.5), _reach(curve, 0.8)


def _reach(curve: Doubles, target: float) -> float:
    reached = np.flatnonzero(curve >= target)
    return float(reached[0]) / (curve.size - 1) if reached.size else 1.0


def _pgr(score: Doubles, weak: Doubles, strong: Doubles) -> Doubles:
    advantage = strong - weak
    total = float(advantage.sum())
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate(([0.0], np.cumsum(advantage[order])))
    return np.asarray(gained / (total or np.nan), dtype=np.float64)
