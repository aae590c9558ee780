"""What a strategy must beat at its own cost: a coin between two models, the hull of models, one-score routers."""

from collections.abc import Sequence

import numpy as np

from benchmarks.cascade.record import Answers, Doubles
from benchmarks.cascade.staged import Outcome, always


def coin(low: tuple[Doubles, Doubles], high: tuple[Doubles, Doubles], spent: Doubles) -> Doubles:
    """Return how often the coin between two models is right that costs `spent`; a model: (mean right, mean cost)."""
    share = np.clip((spent - low[1]) / (high[1] - low[1]), 0.0, 1.0)
    return (1 - share) * low[0] + share * high[0]


def hull(models: Sequence[tuple[Doubles, Doubles]], spent: Doubles) -> Doubles:
    """Return the best that any coin between two of the models, or one alone, reaches for at most `spent`.

    Below the cheapest model's cost it is that model.
    """
    cheapest = np.argmin([cost for _, cost in models], axis=0)
    best: Doubles = np.choose(cheapest, [right for right, _ in models])
    for right, cost in models:
        best = np.where(cost <= spent, np.maximum(best, right), best)
        for other_right, other_cost in models:
            between = (cost < spent) & (spent < other_cost)
            share = np.where(between, (spent - cost) / np.where(between, other_cost - cost, 1.0), 0.0)
            best = np.where(between, np.maximum(best, (1 - share) * right + share * other_right), best)
    return best


def scored(score: Doubles, weak: Answers, strong: Answers, budget: float) -> Outcome:
    """Return the router by one score that costs `budget` on average: the highest scores go to the strong model.

    The question at the boundary is split in expectation, so the budget is met exactly.
    """
    order = np.argsort(-score, kind="stable")
    extra = (strong.cost - weak.cost)[order]
    room = budget * score.size - weak.cost.sum()
    before = np.cumsum(extra) - extra
    share = np.empty(score.size)
    share[order] = np.clip((room - before) / np.where(extra == 0, 1.0, extra), 0.0, 1.0)
    return Outcome(
        right=(1 - share) * weak.right + share * strong.right,
        cost=(1 - share) * weak.cost + share * strong.cost,
        kept=share == 0,
        skipped=share > 0,
    )


def oracle(models: Sequence[Answers]) -> Outcome:
    """Return the cheapest right answer of every question, the cheapest answer where none is right."""
    cost = np.stack([one.cost for one in models])
    right = np.stack([one.right for one in models])
    chosen = np.argmin(cost + np.where(right > 0, 0.0, cost.max() + 1.0), axis=0)
    picked = np.arange(cost.shape[1])
    return Outcome(right[chosen, picked], cost[chosen, picked], chosen == 0, chosen != 0)


def best_constant(models: Sequence[Answers], fold: Doubles, budget: float) -> Outcome:
    """Return the most accurate model within `budget` (mean cost), named for each fold on the other folds."""
    outcome = always(min(models, key=lambda one: float(one.cost.mean())))
    right, cost = outcome.right.copy(), outcome.cost.copy()
    for held in np.unique(fold):
        seen, test = fold != held, fold == held
        allowed = [one for one in models if one.cost[seen].mean() <= budget]
        if allowed:
            chosen = max(allowed, key=lambda one: float(one.right[seen].mean()))
            right[test], cost[test] = chosen.right[test], chosen.cost[test]
    return Outcome(right, cost, outcome.kept, outcome.skipped)
