"""Measures how well a score tells right answers from wrong ones, and how honest a probability is. Pure.

AUROC: chance that a right answer scores above a wrong one (ties half; 0.5 = knows nothing). AURC: area under the risk
of the kept answers over the share kept, best first (Geifman and El-Yaniv, arXiv 1705.08500). Brier, ECE: of P(right).

A measure takes n scores, n outcomes (1.0 right) and weights of shape (draws, n), how often each draw holds each answer,
and returns one value a draw: so a bootstrap is one pass over arrays.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.router.training.metrics import Interval, interval

Doubles = npt.NDArray[np.float64]
Measure = Callable[[Doubles, Doubles, Doubles], Doubles]

BINS: Final = 10


def auroc(score: Doubles, right: Doubles, weights: Doubles) -> Doubles:
    """Return the area under the ROC curve, NaN where a draw holds no right or no wrong answer."""
    order, starts = _groups(score)
    wins = np.add.reduceat((weights * right)[:, order], starts, axis=1)
    losses = np.add.reduceat((weights * (1.0 - right))[:, order], starts, axis=1)
    below = np.cumsum(losses, axis=1) - losses
    pairs = wins.sum(axis=1) * losses.sum(axis=1)
    return np.asarray((wins * (below + losses / 2.0)).sum(axis=1) / np.where(pairs > 0.0, pairs, np.nan))


def aurc(score: Doubles, right: Doubles, weights: Doubles) -> Doubles:
    """Return the mean risk of the kept answers over every share kept; equal scores are kept together or not at all."""
    order, starts = _groups(-score)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    wrong = np.add.reduceat((weights * (1.0 - right))[:, order], starts, axis=1)
    kept = np.cumsum(counts, axis=1)
    risk = np.cumsum(wrong, axis=1) / np.maximum(kept, 1.0)
    return np.asarray((counts * risk).sum(axis=1) / kept[:, -1])


def brier(chance: Doubles, right: Doubles, weights: Doubles) -> Doubles:
    """Return the mean squared error of P(right)."""
    return np.asarray(weights @ (chance - right) ** 2 / weights.sum(axis=1))


def ece(chance: Doubles, right: Doubles, weights: Doubles) -> Doubles:
    """Return the expected calibration error over BINS bins of as many answers: mean gap of P(right) and share right."""
    gaps = [np.abs(weights[:, part] @ (chance - right)[part]) for part in _bins(chance)]
    return np.asarray(np.sum(gaps, axis=0) / weights.sum(axis=1))


def measured(measure: Measure, score: Doubles, right: Doubles) -> float:
    """Return a measure of the answers as they are."""
    return float(measure(score, right, np.ones((1, right.size)))[0])


def bootstrapped(measure: Measure, score: Doubles, right: Doubles, *, resamples: int, seed: int) -> Interval:
    """Return a measure with its 95% bootstrap interval over answers; draws without a value are left out."""
    draws = measure(score, right, _weights(right.size, resamples, seed))
    return interval(measured(measure, score, right), draws[np.isfinite(draws)])


def difference(
    measure: Measure, one: Doubles, other: Doubles, right: Doubles, *, resamples: int, seed: int
) -> Interval:
    """Return the measure of one minus that of the other with its paired 95% bootstrap interval."""
    weights = _weights(right.size, resamples, seed)
    draws = measure(one, right, weights) - measure(other, right, weights)
    return interval(measured(measure, one, right) - measured(measure, other, right), draws[np.isfinite(draws)])


def risk_coverage(score: Doubles, right: Doubles) -> tuple[Doubles, Doubles]:
    """Return the shares kept and the risk among the kept at each, best first."""
    order = np.argsort(-score, kind="stable")
    kept = np.arange(1, score.size + 1)
    return kept / score.size, np.cumsum(1.0 - right[order]) / kept


def reliability(chance: Doubles, right: Doubles) -> list[tuple[float, float, int]]:
    """Return (mean P(right), share right, answers) of BINS bins of as many answers."""
    return [(float(chance[part].mean()), float(right[part].mean()), int(part.size)) for part in _bins(chance)]


def _weights(size: int, resamples: int, seed: int) -> Doubles:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.multinomial(size, np.full(size, 1.0 / size), size=resamples), dtype=np.float64)


def _groups(score: Doubles) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the order of rising scores, and where in it each group of equal scores starts."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0.0)
    return order, starts


def _bins(chance: Doubles) -> list[npt.NDArray[np.int64]]:
    order = np.argsort(chance, kind="stable")
    return [part for part in np.array_split(order, BINS) if part.size]
