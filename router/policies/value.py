"""Strategies that weigh predicted quality against money: a fixed price of quality, or one that a budget sets. Pure.

A conversation that moves leaves a warm prefix behind: what the other tier must read anew is added to that tier's cost,
so a move must be worth more than it abandons.
"""

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import BudgetPacing, Policy, QualityAtCost
from headrace.contracts.routing import Pace, Target
from headrace.router.policies.choice import Choice, Warm, listed
from headrace.router.policies.cost import EXPECTED_COMPLETION_TOKENS, attempt_cost
from headrace.router.policies.survey import Ask, Options, nearest_able

MICROUSD_PER_MILLIUSD: Final = 1_000
REFERENCE_PROMPT_TOKENS: Final = 256
UNSPENT: Final = Pace(spent_microusd=0, allowed_microusd=0, spare=1.0)


def best_value(strategy: QualityAtCost, ask: Ask, options: Options, warm: Warm) -> Choice:
    """Choose the most predicted quality minus lambda times cost; the first of equals is the cheapest."""
    scores = _scores(options.able, ask, options, strategy.quality_per_milliusd, warm)
    best = max(scores, key=lambda tier: scores[tier])
    return Choice({best: 1.0}, scores, f"quality_at_cost ({listed(scores)}){warm.said()}")


def paced(strategy: BudgetPacing, ask: Ask, options: Options, warm: Warm, pace: Pace | None) -> Choice:
    """Choose between two tiers by quality minus lambda times cost, where lambda grows as the money runs short.

    The price of money is the multiplier of the budget constraint, and it follows what is spent against what is allowed,
    as in adaptive pacing (Balseiro and Gur, "Learning in Repeated Auctions with Budgets", 2019). Their gradient step
    needs a size to tune; here lambda is proportional to what is missing in a bank of bounded size: 0 when it is full,
    and when it is all but empty a question of usual length needs a gain of 1, the most there is. With an empty bank the
    cheaper tier answers, and nothing stronger follows it.
    """
    named, other = (
        nearest_able(strategy.use, ask.policy, options),
        nearest_able(strategy.otherwise, ask.policy, options),
    )
    pace = UNSPENT if pace is None else pace
    dearer = _usual_cost(options.able[named].card) - _usual_cost(options.able[other].card)
    price = (1.0 - max(0.0, min(1.0, pace.spare))) / dearer if dearer > 0 else 0.0
    pace = msgspec.structs.replace(pace, quality_per_milliusd=round(price, 6))
    scores = _scores({named, other}, ask, options, price, warm)
    state = f"{_usd(pace.spent_microusd)} spent of {_usd(pace.allowed_microusd)} allowed so far, lambda {price:.4g}"
    words = f"budget ({state}; {listed(scores)}){warm.said()}"
    if pace.spare <= 0:
        barred = [tier for tier in options.able if tier != other]
        return Choice({other: 1.0}, scores, f"{words}; nothing is left", barred, is_final=True, pace=pace)
    best = named if scores[named] >= scores[other] else other
    return Choice({best: 1.0}, scores, words, pace=pace)


def predicted_qualities(ask: Ask, targets: Iterable[Target]) -> dict[str, float]:
    """Return how good the answer of each target's backend is expected to be, 0..1, by backend id.

    As predicted for each backend, where that is known for all of them; else relative to the strongest tier: it has 1,
    the weakest tier has 1 - difficulty, and between them the place is that of the logarithm of the parameters, or
    where a model does not tell its parameters, the tier's place in the list: only the two ends are learnt from data.
    """
    targets = tuple(targets)
    known = ask.features.quality
    if all(target.backend in known for target in targets):
        return {target.backend: known[target.backend] for target in targets}
    difficulty = ask.features.difficulty
    return {each.backend: 1.0 - difficulty * (1.0 - _strength(ask.policy, each.tier, each.card)) for each in targets}


def net_cost(ask: Ask, target: Target, warm: Warm) -> float:
    """Return the expected cost of one answer of the target in milli-USD, with what it must read anew."""
    cost = attempt_cost(target.card, ask.call, ask.features.prompt_tokens)
    return (cost + target.card.price.cost_microusd(warm.missing(target.tier), 0)) / MICROUSD_PER_MILLIUSD


def _scores(tiers: Iterable[str], ask: Ask, options: Options, price: float, warm: Warm) -> dict[str, float]:
    wanted = set(tiers)
    targets = {tier: target for tier, target in options.able.items() if tier in wanted}
    quality = predicted_qualities(ask, targets.values())
    return {tier: quality[target.backend] - price * net_cost(ask, target, warm) for tier, target in targets.items()}


def _usual_cost(card: ModelCard) -> float:
    """Return what a question of usual length costs, in milli-USD."""
    return card.price.cost_microusd(REFERENCE_PROMPT_TOKENS, EXPECTED_COMPLETION_TOKENS) / MICROUSD_PER_MILLIUSD


def _usd(microusd: int) -> str:
    return f"${microusd / 1_000_000:.6g}"


def _strength(policy: Policy, tier: str, card: ModelCard) -> float:
    """Return where between the weakest tier, 0, and the strongest, 1, a tier stands."""
    order = [each.id for each in policy.tiers]
    place, last = order.index(tier), len(order) - 1
    if place in {0, last}:
        return 1.0 if place == last else 0.0
    weak, strong = (policy.cards[policy.tiers[end].default].parameters for end in (0, last))
    if 0 < weak < strong and card.parameters > 0:
        return min(1.0, max(0.0, math.log(card.parameters / weak) / math.log(strong / weak)))
    return place / last
