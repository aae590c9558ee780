"""Measures how well a score tells right answers from wrong ones, and how honest a probability is. Pure.

AUROC: chance that a right answer scores above a wrong one (ties half; 0.5 = knows nothing). AURC: area under the risk
of the kept answers over the share kept, best first (Geifman and El-Yaniv, arXiv 1705.08500). Brier, ECE: of P(right).
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.router.training.metrics import Interval, interval

Doubles = npt.NDArray[np.float64]
Statistic = Callable[[Doubles, Doubles], float]

BINS: Final = 10


def auroc(score: Doubles, right: Doubles) -> float:
    """Return the area under the ROC curve, NaN where every answer is right or every one wrong."""
    wins = int(right.sum())
    losses = right.size - wins
    if not wins or not losses:
        return float("nan")
    return float((_ranks(score)[right > 0].sum() - wins * (wins + 1) / 2) / (wins * losses))


def aurc(score: Doubles, right: Doubles) -> float:
    """Return the mean risk of the kept answers over every share kept; equal scores are kept together or not at all."""
    order = np.argsort(-score, kind="stable")
    _, first, counts = np.unique(-score[order], return_index=True, return_counts=True)
    kept = first + counts
    risks = np.cumsum(1.0 - right[order])[kept - 1] / kept
    return float((risks * counts).sum() / score.size)


def risk_coverage(score: Doubles, right: Doubles) -> tuple[Doubles, Doubles]:
    """Return the shares kept and the risk among the kept at each, best first."""
    order = np.argsort(-score, kind="stable")
    kept = np.arange(1, score.size + 1)
    return kept / score.size, np.cumsum(1.0 - right[order]) / kept


def brier(chance: Doubles, right: Doubles) -> float:
    """Return the mean squared error of P(right)."""
    return float(((chance - right) ** 2).mean())


def ece(chance: Doubles, right: Doubles, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equal size: mean gap of P(right) and share right."""
    order = np.argsort(chance, kind="stable")
    gaps = [abs(float(chance[part].mean() - right[part].mean())) * part.size for part in _parts(order, bins)]
    return sum(gaps) / chance.size


def reliability(chance: Doubles, right: Doubles, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Return (mean P(right), share right, answers) of bins of equal size."""
    order = np.argsort(chance, kind="stable")
    return [(float(chance[p].mean()), float(right[p].mean()), int(p.size)) for p in _parts(order, bins)]


def bootstrapped(statistic: Statistic, score: Doubles, right: Doubles, *, resamples: int, seed: int) -> Interval:
    """Return a statistic with its 95% bootstrap interval over answers; draws without a value are left out."""
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for number in range(resamples):
        rows = rng.integers(right.size, size=right.size)
        draws[number] = statistic(score[rows], right[rows])
    return interval(statistic(score, right), draws[np.isfinite(draws)])


def difference(
    statistic: Statistic, one: Doubles, other: Doubles, right: Doubles, *, resamples: int, seed: int
) -> Interval:
    """Return statistic(one) - statistic(other) with its paired 95% bootstrap interval."""
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for number in range(resamples):
        rows = rng.integers(right.size, size=right.size)
        draws[number] = statistic(one[rows], right[rows]) - statistic(other[rows], right[rows])
    return interval(statistic(one, right) - statistic(other, right), draws[np.isfinite(draws)])


def _ranks(values: Doubles) -> Doubles:
    """Return ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


def _parts(order: npt.NDArray[np.int64], bins: int) -> Sequence[npt.NDArray[np.int64]]:
    return [part for part in np.array_split(order, bins) if part.size]
