"""From one bound (on quality lost, money or time) to one threshold, by constrained choice on recorded outcomes. Pure.

Every bound is one on a mean over questions: the share lost against the large tier, the cost, or the share that comes
too late, which may be 5%. A threshold is certified when the one-sided 95% bootstrap bound of that mean keeps the bound.
Thresholds are tried in a fixed order, the safest first, up to the first that fails; so trying many of them does not
raise the chance of certifying a wrong one (fixed sequence testing, Angelopoulos et al., arXiv 2110.01052).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.compose import Result

Doubles = npt.NDArray[np.float64]
Kind = Literal["max_loss", "max_usd_per_1k", "max_latency_s"]

ERROR: Final = 0.05  # chance that a bound fooled by the draw of the questions is taken for kept
LATE_SHARE: Final = 0.05  # of the requests, which may pass a latency bound
MICROUSD_PER_QUESTION: Final = 1_000.0  # of 1 USD for 1,000 questions


@dataclass(frozen=True, slots=True)
class Arm:
    """What a strategy makes of every question, in the order of the questions. cost: micro-USD."""

    right: Doubles
    cost: Doubles
    seconds: Doubles

    @classmethod
    def of(cls, results: Sequence[Result]) -> Self:
        """Turn results into columns."""
        return cls(
            np.array([float(one.right) for one in results]),
            np.array([one.cost_microusd for one in results]),
            np.array([one.seconds for one in results]),
        )

    def rows(self, chosen: npt.NDArray[np.int64]) -> Self:
        """Return the chosen questions."""
        return type(self)(self.right[chosen], self.cost[chosen], self.seconds[chosen])


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most`: of the share of questions lost against the large tier, USD for 1,000 requests, or seconds."""

    kind: Kind
    most: float

    @property
    def bar(self) -> float:
        """What the mean burden may be."""
        return LATE_SHARE if self.kind == "max_latency_s" else self.most

    @property
    def safest_is_least(self) -> bool:
        """Whether the safest threshold is the least accepted risk: it loses least, but costs and takes most."""
        return self.kind == "max_loss"

    def burden(self, arm: Arm, large: Arm) -> Doubles:
        """Return what each question adds to the mean that is bounded."""
        if self.kind == "max_loss":
            return large.right - arm.right
        if self.kind == "max_usd_per_1k":
            return arm.cost / MICROUSD_PER_QUESTION
        return np.asarray(arm.seconds > self.most, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Trial:
    """One threshold on the questions it is chosen on. bound: the upper 95% bound of the mean burden."""

    max_risk: float
    right: float
    cost: float
    burden: float
    bound: float
    is_certified: bool


def tried(limit: Limit, arms: Mapping[float, Arm], large: Arm, bootstrap: Bootstrap) -> list[Trial]:
    """Try every threshold (accepted risk -> its outcomes), the safest first."""
    order = sorted(arms, reverse=not limit.safest_is_least)
    means = bootstrap.means(np.stack([limit.burden(arms[risk], large) for risk in order], axis=1))
    bounds = np.quantile(means[1:], 1.0 - ERROR, axis=0)
    trials, holds = [], True
    for risk, burden, bound in zip(order, means[0], bounds, strict=True):
        holds = holds and bool(bound <= limit.bar)
        right, cost = (float(values.mean()) for values in (arms[risk].right, arms[risk].cost))
        trials.append(Trial(risk, right, cost, float(burden), float(bound), holds))
    return trials


def choose(limit: Limit, trials: Sequence[Trial]) -> Trial | None:
    """Return the certified threshold that costs least (bound on loss) or is right most (on money, time), or None.

    Of equals the cheaper, then the one with the less accepted risk.
    """
    certified = [one for one in trials if one.is_certified]
    if limit.kind == "max_loss":
        return min(certified, key=lambda one: (one.cost, -one.right, one.max_risk), default=None)
    return min(certified, key=lambda one: (-one.right, one.cost, one.max_risk), default=None)


def nearest(trials: Sequence[Trial]) -> Trial:
    """Return the threshold whose bound is least: the nearest where none is certified."""
    return min(trials, key=lambda one: one.bound)
