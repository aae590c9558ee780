"""Models of what a chain of tiers costs, how long it takes and how good it is, learnt from the ledger. Pure.

They feed the direct method and the doubly robust estimate. Each is a mean a model (and prompt length or domain), drawn
towards the wider mean where there are few requests. None of them knows a request's text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from headrace.contracts.models import Price
from headrace.contracts.routing import LoggedFeatures
from headrace.router.policies.cost import EXPECTED_COMPLETION_TOKENS
from headrace.router.replay.log import Entry, Step

PRIOR: Final = 10.0
"""How many requests the wider mean counts for."""
LENGTHS: Final = (64, 256, 1024)
"""Upper bounds of the prompt-length bins, in tokens."""

Prices = Mapping[str, Price]


class Reward(msgspec.Struct, frozen=True):
    """What one request earns. cost in micro-USD, latency in seconds, quality 0..1; NaN where nobody graded any."""

    cost: float
    latency: float
    quality: float


@dataclass(frozen=True, slots=True)
class Means:
    """Shrunken means: of a cell of a model, of the model, of all; `at` answers with the narrowest there is."""

    overall: float
    by_model: Mapping[str, float] = field(default_factory=dict)
    by_cell: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def at(self, model: str, cell: str) -> float:
        """Return the mean of a model's cell."""
        return self.by_cell.get((model, cell), self.by_model.get(model, self.overall))


@dataclass(frozen=True, slots=True)
class RewardModel:
    """Predicts a chain's reward. rejected: model -> (drafts rejected, drafts judged)."""

    tokens: Means
    seconds: Means
    quality: Means
    cost: Means
    rejected: Mapping[str, tuple[int, int]]
    prices: Prices

    def predict(self, seen: LoggedFeatures, steps: Sequence[Step]) -> Reward:
        """Return the expected reward of trying these steps in order.

        Each step is reached when the one before it is rejected. A model without a price costs what it did on average.
        """
        cost = latency = quality = 0.0
        reached = 1.0
        for step in steps:
            price = self.prices.get(step.model)
            own = self.cost.at(step.model, "")
            if price is not None:
                own = float(price.input_usd_per_mtok) * seen.prompt_tokens
                own += float(price.output_usd_per_mtok) * self.tokens.at(step.model, "")
            handed_on = reached * self._rejection(step, seen.difficulty)
            cost += reached * own
            latency += reached * self.seconds.at(step.model, length(seen.prompt_tokens))
            quality += (reached - handed_on) * self.quality.at(step.model, seen.domain)
            reached = handed_on
        return Reward(cost, latency, quality)

    def _rejection(self, step: Step, difficulty: float) -> float:
        """Return P(the step's answer is rejected): the log's share, drawn to what the planner expects, difficulty."""
        if not step.judged:
            return 0.0
        bad, drafts = self.rejected.get(step.model, (0, 0))
        return (bad + PRIOR * difficulty) / (drafts + PRIOR)


def learn(entries: Sequence[Entry], scores: Mapping[str, float], prices: Prices) -> RewardModel:
    """Learn from logged requests. scores: decision id -> quality 0..1. prices: of the new policy, by model id."""
    attempts = [(entry, attempt) for entry in entries for attempt in entry.attempts]
    rejected: dict[str, tuple[int, int]] = {}
    for entry, attempt in attempts:
        is_judged = any(step.judged and step.model == attempt.model for step in entry.plan.targets)
        if is_judged and attempt.outcome in {"committed", "rejected"}:
            bad, drafts = rejected.get(attempt.model, (0, 0))
            rejected[attempt.model] = (bad + (attempt.outcome == "rejected"), drafts + 1)
    spans = ((a.model, length(e.features.prompt_tokens), a.ended_s - a.started_s) for e, a in attempts)
    return RewardModel(
        tokens=means(((a.model, "", float(a.completion_tokens)) for _, a in attempts), EXPECTED_COMPLETION_TOKENS),
        seconds=means(spans, 0.0),
        quality=means(_graded(entries, scores), float("nan")),
        cost=means(((a.model, "", float(a.cost_microusd)) for _, a in attempts), 0.0),
        rejected=rejected,
        prices=prices,
    )


def means(values: Iterable[tuple[str, str, float]], nothing: float) -> Means:
    """Return the means of (model, cell, value); `nothing` where there is no value at all."""
    cells: dict[tuple[str, str], tuple[float, int]] = {}
    for model, cell, value in values:
        total, count = cells.get((model, cell), (0.0, 0))
        cells[model, cell] = (total + value, count + 1)
    models: dict[str, tuple[float, int]] = {}
    for (model, _), (total, count) in cells.items():
        so_far, number = models.get(model, (0.0, 0))
        models[model] = (so_far + total, number + count)
    every = sum(count for _, count in models.values())
    if not every:
        return Means(nothing)
    overall = sum(total for total, _ in models.values()) / every
    by_model = {name: (total + PRIOR * overall) / (count + PRIOR) for name, (total, count) in models.items()}
    by_cell = {key: (total + PRIOR * by_model[key[0]]) / (count + PRIOR) for key, (total, count) in cells.items()}
    return Means(overall, by_model, by_cell)


def length(prompt_tokens: int) -> str:
    """Return the bin of a prompt's length."""
    return next((f"<={bound}" for bound in LENGTHS if prompt_tokens <= bound), f">{LENGTHS[-1]}")


def earned(entry: Entry, score: float, prices: Prices) -> Reward:
    """Return what a logged request earned, at these prices; an attempt on a model without one as it was booked."""
    cost = 0.0
    for attempt in entry.attempts:
        price = prices.get(attempt.model)
        priced = None if price is None else price.cost_microusd(attempt.prompt_tokens, attempt.completion_tokens)
        cost += attempt.cost_microusd if priced is None else priced
    return Reward(cost, entry.total_s, score)


def _graded(entries: Iterable[Entry], scores: Mapping[str, float]) -> Iterator[tuple[str, str, float]]:
    for entry in entries:
        model = entry.answered_by
        if model is not None and entry.decision in scores:
            yield model, entry.features.domain, scores[entry.decision]
