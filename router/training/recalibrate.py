"""From feedback to offsets: how much a model's predictions are off in a domain, and whether that is more than chance.

One number a model and domain, on the logit, pulled to 0 as if by a few answers that found nothing wrong. Whether to use
them is decided out of fold: offsets from four fifths of the answers must make the rest likelier than leaving all as it
is, and the 95% bootstrap interval of the difference must lie wholly on that side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.router.training.assemble import fold_of
from headrace.router.training.corpus import FOLDS
from headrace.router.training.feedback import Cell, Heard
from headrace.router.training.metrics import Doubles, Interval, interval

# Precision of the pull to 0: about what 20 answers weigh whose chance is a fifth to a half.
PULL: Final = 4.0
LEAST_ANSWERS: Final = 100
RESAMPLES: Final = 2000
SEED: Final = 1
_STEPS: Final = 50
_MOST_STEP: Final = 1.0
_CLIP: Final = 1e-4

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """offsets: what to add to the logit of the prediction. answers: how many taught them.

    loss_before, loss_after: log loss of the answers' scores, out of fold. change: after minus before, 95% interval.
    is_better: the whole interval is below 0; only then are there offsets.
    """

    offsets: dict[Cell, float]
    answers: int
    loss_before: float
    loss_after: float
    change: Interval | None

    @property
    def is_better(self) -> bool:
        """Tell whether the offsets beat doing nothing."""
        return self.change is not None and self.change.high < 0


def recalibrate(heard: Sequence[Heard]) -> Recalibration:
    """Fit and judge the offsets; without enough answers nothing is fitted."""
    if len(heard) < LEAST_ANSWERS:
        return Recalibration({}, len(heard), 0.0, 0.0, None)
    cells = sorted({one.cell for one in heard})
    cell = np.array([cells.index(one.cell) for one in heard], dtype=np.int64)
    logit = _logit(np.array([one.predicted for one in heard]))
    score = np.array([one.score for one in heard])
    weight = _scaled(np.array([one.weight for one in heard]))
    fold = np.array([fold_of(one.decision) for one in heard])
    after = logit.copy()
    for held in range(FOLDS):
        train, test = fold != held, fold == held
        fitted = _fitted(cell[train], logit[train], score[train], weight[train], len(cells))
        after[test] += fitted[cell[test]]
    losses = np.stack([_losses(logit, score), _losses(after, score)], axis=1)
    before, later = np.average(losses, axis=0, weights=weight)
    change = _interval(losses[:, 1] - losses[:, 0], weight)
    whole = _fitted(cell, logit, score, weight, len(cells))
    offsets = {name: round(float(one), 5) for name, one in zip(cells, whole, strict=True)}
    found = Recalibration(offsets, len(heard), float(before), float(later), change)
    return found if found.is_better else Recalibration({}, len(heard), float(before), float(later), change)


def _fitted(cell: Rows, logit: Doubles, score: Doubles, weight: Doubles, cells: int) -> Doubles:
    """Return the offset of each cell that makes the scores likeliest, by Newton's method with bounded steps."""
    offset = np.zeros(cells)
    for _ in range(_STEPS):
        right = 1.0 / (1.0 + np.exp(-(logit + offset[cell])))
        slope = np.bincount(cell, weights=weight * (right - score), minlength=cells) + PULL * offset
        bend = np.bincount(cell, weights=weight * right * (1.0 - right), minlength=cells) + PULL
        offset -= np.clip(slope / bend, -_MOST_STEP, _MOST_STEP)
    return offset


def _scaled(weight: Doubles) -> Doubles:
    """Scale the weights to add up to the number of answers that they are worth."""
    return np.asarray(weight * (weight.sum() / (weight**2).sum()), dtype=np.float64)


def _losses(logit: Doubles, score: Doubles) -> Doubles:
    return np.asarray(np.logaddexp(0.0, logit) - score * logit, dtype=np.float64)


def _logit(chance: Doubles) -> Doubles:
    inside = np.clip(chance, _CLIP, 1.0 - _CLIP)
    return np.asarray(np.log(inside / (1.0 - inside)), dtype=np.float64)


def _interval(difference: Doubles, weight: Doubles) -> Interval:
    drawn = np.random.default_rng(SEED)
    means = np.empty(RESAMPLES)
    for place in range(RESAMPLES):
        rows = drawn.integers(difference.size, size=difference.size)
        means[place] = (difference[rows] @ weight[rows]) / weight[rows].sum()
    return interval(float(np.average(difference, weights=weight)), means)
