"""Paired bootstrap by group, as weights: every strategy is weighed by the same draws, so differences are paired."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from headrace.router.training.metrics import Interval, interval

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

RESAMPLES: Final = 4000
SEED: Final = 20261122
# Differences this small are rounding.
NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Row 0 of `weights` is the set as it is, every other row a draw of whole groups; each row adds up to 1."""

    weights: Doubles

    @classmethod
    def of(cls, group: Rows, *, resamples: int = RESAMPLES, seed: int = SEED) -> Self:
        """Draw `resamples` times as many groups as there are, with replacement."""
        groups = int(group.max()) + 1
        drawn = np.random.default_rng(seed).integers(groups, size=(resamples, groups))
        places = (drawn + groups * np.arange(resamples)[:, None]).ravel()
        times = np.bincount(places, minlength=resamples * groups).reshape(resamples, groups)
        counts = np.concatenate([np.ones((1, groups)), times])[:, group]
        return cls(counts / counts.sum(axis=1, keepdims=True))

    def means(self, values: Doubles) -> Doubles:
        """Return the mean of a figure (or of several, a column each): of the set as it is, then of every draw."""
        return np.asarray(self.weights @ values, dtype=np.float64)


def measured(means: Doubles) -> Interval:
    """Return the first of `means` with the 95% interval of the others."""
    return interval(float(means[0]), means[1:])


def share_below_zero(means: Doubles) -> float:
    """Return the share of draws in which a difference is negative."""
    return float((means[1:] < -NOTHING).mean())


def lower_bound(means: Doubles, chance: float) -> float:
    """Return the one-sided lower bound of the first of `means`: only `chance` of the draws lie under it."""
    return float(np.quantile(means[1:], chance))
