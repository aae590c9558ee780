"""The shape of each strategy that a rule's `use` may hold."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from headrace.gateway.settings.shapes import Edge, Name, Seconds, Usd


class WeightedEdge(Edge):
    """Split requests at random by the share of each tier; the shares add up to 1."""

    strategy: Literal["weighted"]
    tiers: dict[Name, Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1, max_length=64)


class CanaryEdge(Edge):
    """Send a share of the requests to another tier."""

    strategy: Literal["canary"]
    use: Name
    to: Name
    share: float = Field(gt=0, lt=1)


class EpsilonEdge(Edge):
    """Send requests to a tier, and with probability `epsilon` to any able one."""

    strategy: Literal["epsilon"]
    use: Name
    epsilon: float = Field(gt=0, le=1)


class QualityAtCostEdge(Edge):
    """Choose the most predicted quality minus `lambda` times the expected cost in milli-USD."""

    strategy: Literal["quality_at_cost"]
    quality_per_milliusd: float = Field(alias="lambda", ge=0, le=1_000_000)


class LatencyEdge(Edge):
    """Choose the strongest tier, from `use` downwards, that is predicted to be in time."""

    strategy: Literal["latency"]
    use: Name
    deadline_s: Seconds
    measure: Literal["ttft", "total"] = "ttft"


class BudgetEdge(Edge):
    """Spend at most `usd` in any `window_s`, or `usd_per_1k` in any 1,000 requests."""

    strategy: Literal["budget"]
    use: Name
    otherwise: Name = Field(alias="else")
    usd: Usd | None = None
    window_s: float | None = Field(default=None, gt=0, le=31_622_400)
    usd_per_1k: Usd | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        by_time = (self.usd is not None, self.window_s is not None)
        if by_time != ((self.usd_per_1k is None),) * 2:
            msg = "write either usd with window_s, or usd_per_1k"
            raise ValueError(msg)
        return self


class ExpertsEdge(Edge):
    """Ask the best `top_k` backends side by side and make one answer of theirs."""

    strategy: Literal["experts"]
    top_k: int = Field(ge=1, le=8)
    fuse: Literal["vote", "best_confidence", "judge"] = "vote"
    backends: list[Name] = Field(default_factory=list, max_length=64)
    judge: Name | None = None
    quality_per_milliusd: float = Field(alias="lambda", default=0.0, ge=0, le=1_000_000)
    deadline_s: Seconds = 30.0


StrategyEdge = WeightedEdge | CanaryEdge | EpsilonEdge | QualityAtCostEdge | LatencyEdge | BudgetEdge | ExpertsEdge
STRATEGIES: Final[Mapping[str, type[StrategyEdge]]] = {
    "weighted": WeightedEdge,
    "canary": CanaryEdge,
    "epsilon": EpsilonEdge,
    "quality_at_cost": QualityAtCostEdge,
    "latency": LatencyEdge,
    "budget": BudgetEdge,
    "experts": ExpertsEdge,
}
