"""From a log and a new policy to a report: what changes, what it is worth, and how far the log can tell. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from headrace.contracts.policy import BudgetPacing, Experts, Latency, Policy
from headrace.router.replay.decisions import Move, Redecided, Replan, moves, redecide, unseen_names
from headrace.router.replay.estimators import NAMES, Array, Estimate, Name, Samples, change, effective, estimate
from headrace.router.replay.log import Log, LoggedPlan, Step
from headrace.router.replay.rewards import Prices, Reward, RewardModel, earned, learn

FOLDS: Final = 5
FEW: Final = 100.0
"""Below this effective sample size the intervals are not to be trusted (benchmarks/ope_coverage.py)."""

Metric = Literal["cost", "latency", "quality"]
METRICS: Final[Mapping[Metric, str]] = {"cost": "micro-USD a request", "latency": "s", "quality": "score 0..1"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its 95% interval, in the metric's unit, or a share for a change."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Worth:
    """One metric under the new policy, estimated four ways. An estimator that the log does not support is absent.

    requests: those it rests on. logged: the mean as it was. change: relative, by the doubly robust estimate.
    """

    unit: str
    requests: int
    logged: float
    estimates: Mapping[Name, Figure]
    change: Figure | None
    unsupported: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far the log can tell. unsupported: share of requests whose new action had logged probability 0."""

    unsupported: float
    largest_weight: float
    effective_size: float


@dataclass(frozen=True, slots=True)
class Report:
    """The whole replay. requests: decided again; refused: of these, those the new policy turns away."""

    requests: int
    changed: float
    refused: int
    moves: Sequence[Move]
    overlap: Overlap | None
    worth: Mapping[Metric, Worth]
    warnings: Sequence[str]


def replay(
    log: Log,
    policy: Policy,
    replan: Replan,
    *,
    scores: Mapping[str, float] | None = None,
    examples: int = 3,
) -> Report:
    """Decide every request of the log again and estimate what the new policy would have earned.

    scores: decision id -> quality 0..1; they win over the log's own feedback. Quality is estimated on the graded
    requests alone. A request that the new policy refuses counts as changed and stands in no estimate.
    """
    graded = {**log.feedback, **(scores or {})}
    decided = redecide(log.entries, replan)
    taken = [one for one in decided if one.choices]
    prices = {card.id: card.price for card in policy.cards.values()}
    seen = {one.entry.plan.targets for one in decided}
    worth: dict[Metric, Worth] = {}
    overlap: Overlap | None = None
    if taken:
        samples = _samples(taken, graded, prices)
        unsupported = np.array([_unsupported(one, seen) for one in taken])
        overlap = _overlap(samples["cost"], unsupported)
        worth["cost"] = _worth("cost", samples["cost"], unsupported)
        worth["latency"] = _worth("latency", samples["latency"], unsupported)
    known = [one for one in taken if one.entry.decision in graded]
    if known:
        unsupported = np.array([_unsupported(one, seen) for one in known])
        worth["quality"] = _worth("quality", _samples(known, graded, prices)["quality"], unsupported)
    return Report(
        requests=len(decided),
        changed=sum(1.0 - one.stays for one in decided) / len(decided) if decided else 0.0,
        refused=len(decided) - len(taken),
        moves=moves(decided, examples),
        overlap=overlap,
        worth=worth,
        warnings=tuple(_warnings(log, policy, decided, overlap)),
    )


def _samples(decided: Sequence[Redecided], scores: Mapping[str, float], prices: Prices) -> dict[Metric, Samples]:
    """Return the arrays of every metric; a request is judged by a model that was learnt without its fold."""
    entries = [one.entry for one in decided]
    models = [
        learn([entry for place, entry in enumerate(entries) if place % FOLDS != fold], scores, prices)
        for fold in range(FOLDS)
    ]
    reward = _table(earned(entry, scores.get(entry.decision, float("nan")), prices) for entry in entries)
    logged = _table(
        models[place % FOLDS].predict(entry.features, entry.plan.targets) for place, entry in enumerate(entries)
    )
    new = _table(_expected(models[place % FOLDS], one) for place, one in enumerate(decided))
    propensity = np.array([entry.plan.propensity for entry in entries])
    chosen = np.array([one.stays for one in decided])
    return {
        metric: Samples(reward[column], propensity, chosen, logged[column], new[column])
        for column, metric in enumerate(METRICS)
    }


def _table(rewards: Iterable[Reward]) -> Array:
    """Return the metrics in the order of METRICS, one row each."""
    return np.array([(one.cost, one.latency, one.quality) for one in rewards], dtype=np.float64).T


def _expected(model: RewardModel, one: Redecided) -> Reward:
    every = [(choice.probability, model.predict(one.entry.features, choice.steps)) for choice in one.choices]
    return Reward(
        cost=sum(share * reward.cost for share, reward in every),
        latency=sum(share * reward.latency for share, reward in every),
        quality=sum(share * reward.quality for share, reward in every),
    )


def _unsupported(one: Redecided, seen: set[tuple[Step, ...]]) -> float:
    """Return the probability of what the logged policy would never have done with this request.

    A policy that left nothing to chance does only what it did; one that explored may do what the log shows anywhere.
    """
    plan = one.entry.plan
    return sum(choice.probability for choice in one.choices if not _was_possible(plan, choice.steps, seen))


def _was_possible(plan: LoggedPlan, steps: tuple[Step, ...], seen: set[tuple[Step, ...]]) -> bool:
    if plan.propensity >= 1.0 or steps not in seen:
        return steps == plan.targets
    named = plan.chances or plan.scores
    return not named or steps[0].tier in named


def _overlap(samples: Samples, unsupported: Array) -> Overlap:
    return Overlap(float(unsupported.mean()), float(samples.weights.max()), float(effective(samples)))


def _worth(metric: Metric, samples: Samples, unsupported: Array) -> Worth:
    share = float(unsupported.mean())
    names = [name for name in NAMES if share == 0.0 or name not in {"ips", "snips"}]
    found = {name: _figure(estimate(samples, name)) for name in names}
    moved = _figure(change(samples, "dr"))
    return Worth(
        unit=METRICS[metric],
        requests=samples.reward.shape[-1],
        logged=float(samples.reward.mean()),
        estimates={name: figure for name, figure in found.items() if figure is not None},
        change=moved,
        unsupported=share,
    )


def _figure(found: Estimate) -> Figure | None:
    """Return plain numbers; None where the log cannot tell."""
    figure = Figure(float(found.value), float(found.low), float(found.high))
    return None if math.isnan(figure.value) or math.isnan(figure.low) else figure


def _warnings(log: Log, policy: Policy, decided: Sequence[Redecided], overlap: Overlap | None) -> Iterator[str]:
    if overlap is not None and overlap.unsupported > 0:
        yield (
            f"no support for {overlap.unsupported:.1%} of the requests: the logged policy would never have done with "
            "them what the new one does. IPS and SNIPS cannot be had; DR is the reward model alone there, and no "
            "interval counts the model's own error. An epsilon rule in the running policy gives support"
        )
    if overlap is not None and overlap.effective_size < FEW:
        size = f"{overlap.effective_size:.0f} is under {FEW:.0f}"
        yield f"weak overlap: the effective sample size {size}; do not trust the intervals"
    tried = {attempt.model for entry in log.entries for attempt in entry.attempts}
    wanted = {step.model for one in decided for choice in one.choices for step in choice.steps}
    for model in sorted(wanted - tried):
        yield f"{model}: never tried in this log; its length, latency and quality are the mean of the other models"
    for name in unseen_names(policy, log.entries):
        cure = "`ledger.headers` and `ledger.metadata` name what is kept"
        yield f"a rule reads {name}, which no record carries, so it counted as absent; {cure}"
    later = sum(entry.features.turns > 1 for entry in log.entries)
    if later and any(model.affinity.key != "none" for model in policy.virtual_models.values()):
        yield f"affinity is not replayed, the ledger names no conversations: {later} requests are later turns of one"
    yield from _of_the_moment(policy)
    if any(step.judged for one in decided for choice in one.choices for step in choice.steps):
        yield "drafts are judged as they were: another max_risk or probe is not replayed"


def _of_the_moment(policy: Policy) -> Iterator[str]:
    """Yield what of the policy hangs on a state that the ledger does not hold."""
    uses = [rule.use for model in policy.virtual_models.values() for rule in model.select]
    if any(isinstance(use, Latency) for use in uses):
        yield "`latency` is not replayed: rates and queues of then are unknown, so every tier counts as in time"
    if any(isinstance(use, Experts) and use.top_k > 1 for use in uses):
        yield "`experts` are not replayed: the first of them stands for the panel, in cost as in quality"
    if any(isinstance(use, BudgetPacing) for use in uses):
        yield "`budget` is not replayed: no request spends from its bank, so it counts as full"
