"""A rule's `use` from plain YAML values: the id of a tier, or a strategy with its numbers."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Epsilon,
    Experts,
    Latency,
    QualityAtCost,
    Strategy,
    Use,
    Weighted,
)
from headrace.gateway.settings.edge_strategies import (
    STRATEGIES,
    BudgetEdge,
    CanaryEdge,
    EpsilonEdge,
    ExpertsEdge,
    LatencyEdge,
    QualityAtCostEdge,
    StrategyEdge,
    WeightedEdge,
)
from headrace.gateway.settings.explain import explain, place_of
from headrace.gateway.settings.problems import Keys, Report, nearest
from headrace.gateway.settings.shapes import microusd

EXAMPLE: Final = "{strategy: weighted, tiers: {small: 0.9, large: 0.1}}"


def parse_use(value: object, path: Keys, report: Report, *, from_env: Collection[Keys] = ()) -> Use | None:
    """Return the tier id or the strategy, or None after `report` was told every problem found at or below `path`.

    from_env: the places whose values came from the environment and are not shown. Whether a named tier exists is for
    the policy's own check.
    """
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, Mapping):
        report(path, "`use` wants the id of a tier or a strategy", f"write use: TIER, or use: {EXAMPLE}")
        return None
    name = value.get("strategy")
    if name is None:
        report(path, "the key 'strategy' is missing", f"write one of {', '.join(STRATEGIES)}")
        return None
    if not isinstance(name, str) or name not in STRATEGIES:
        report((*path, "strategy"), "this is not a known strategy", nearest(str(name), STRATEGIES))
        return None
    return _parse(STRATEGIES[name], value, path, report, from_env)


def _parse(
    edge: type[StrategyEdge], value: Mapping[str, object], path: Keys, report: Report, from_env: Collection[Keys]
) -> Strategy | None:
    try:
        return _built(edge.model_validate(value))
    except ValidationError as exc:
        schema = edge.model_json_schema()
        for error in exc.errors(include_url=False):
            keys, is_key = place_of(error)
            what, cure = explain(error, schema, is_secret=(*path, *keys) in from_env)
            report((*path, *keys), what, cure, at_key=is_key)
    return None


def _built(edge: StrategyEdge) -> Strategy:  # noqa: PLR0911  (one row a strategy)
    match edge:
        case WeightedEdge():
            return Weighted(dict(edge.tiers))
        case CanaryEdge():
            return Canary(edge.use, edge.to, edge.share)
        case EpsilonEdge():
            return Epsilon(edge.use, edge.epsilon)
        case QualityAtCostEdge():
            return QualityAtCost(edge.quality_per_milliusd)
        case LatencyEdge():
            return Latency(edge.use, edge.deadline_s, edge.measure)
        case BudgetEdge():
            usd = edge.usd if edge.usd_per_1k is None else edge.usd_per_1k
            return BudgetPacing(edge.use, edge.otherwise, microusd(usd or Decimal(0)), edge.window_s)
        case ExpertsEdge():
            return Experts(
                top_k=edge.top_k,
                fuse=edge.fuse,
                backends=tuple(edge.backends),
                judge=edge.judge or "",
                quality_per_milliusd=edge.quality_per_milliusd,
                deadline_s=edge.deadline_s,
            )
