"""A rule's strategy: from the tiers that are able to the probability of each, and from a drawn number to one tier.

Pure: whoever plans passes the number in. A tier that is not able is never chosen; what it would have got goes to the
others in proportion, so the probabilities stay exact.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Canary, Epsilon, Policy, QualityAtCost, Strategy, Use, Weighted
from headrace.router.policies.cost import attempt_cost
from headrace.router.policies.survey import Ask, Options, nearest_able

MICROUSD_PER_MILLIUSD: Final = 1_000
_MANTISSA_BITS: Final = 53


class Choice(msgspec.Struct, frozen=True):
    """What a strategy makes of one request, each by tier id, weakest tier first.

    chances: probability of being chosen, over 0, together 1. scores: what was compared. words: all that, for people.
    """

    chances: Mapping[str, float]
    scores: Mapping[str, float]
    words: str


def choose(strategy: Strategy, ask: Ask, options: Options) -> Choice:
    """Return the probability with which each able tier is to be chosen."""
    match strategy:
        case Weighted():
            return _split("weighted", strategy.shares, ask.policy, options)
        case Canary():
            shares = {strategy.use: 1.0 - strategy.share, strategy.to: strategy.share}
            return _split("canary", shares, ask.policy, options)
        case Epsilon():
            return _explore(strategy, ask.policy, options)
        case QualityAtCost():
            return _best(strategy, ask, options)


def pick(chances: Mapping[str, float], draw: float) -> str:
    """Return the tier in whose part of [0, 1) the drawn number lies; the parts lie side by side in the given order."""
    end, chosen = 0.0, ""
    for chosen, chance in chances.items():  # noqa: B007  (where rounding leaves a gap below 1, the last one has it)
        end += chance
        if draw < end:
            break
    return chosen


def sticky_draw(revision: str, affinity: str) -> float:
    """Return a number in [0, 1) that is the same for one conversation or user as long as the config is the same."""
    digest = hashlib.blake2b(f"{revision}\0{affinity}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _MANTISSA_BITS)) * 2.0**-_MANTISSA_BITS


def reach(use: Use, tiers: Sequence[str]) -> tuple[str, ...]:
    """Return every tier that a rule can choose while all are able; `tiers` are the policy's."""
    match use:
        case str():
            return (use,)
        case Weighted():
            return tuple(tier for tier, share in use.shares.items() if share > 0)
        case Canary():
            return (use.use, use.to)
        case Epsilon() | QualityAtCost():
            return tuple(tiers)


def keeps(use: Use, tier: str) -> bool:
    """Tell whether the strategy is no reason to move a conversation away from the tier: it might have chosen it too.

    Exploring does not count: an epsilon rule stands for the tier it names.
    """
    match use:
        case str():
            return False
        case Weighted():
            return use.shares.get(tier, 0.0) > 0
        case Canary():
            return tier in {use.use, use.to}
        case Epsilon():
            return tier == use.use
        case QualityAtCost():
            return True


def predicted_quality(policy: Policy, tier: str, card: ModelCard, difficulty: float) -> float:
    """Return how good the tier's answer is expected to be, 0..1, relative to the strongest tier, which has 1.

    The weakest tier has 1 - difficulty. Between them the place is that of the logarithm of the parameters, and where a
    model does not tell its parameters, the tier's place in the list: only the two ends are learnt from data.
    """
    return 1.0 - difficulty * (1.0 - _strength(policy, tier, card))


def _split(name: str, shares: Mapping[str, float], policy: Policy, options: Options) -> Choice:
    able = {tier: shares[tier] for tier in options.able if shares.get(tier, 0.0) > 0}
    if not able:
        heaviest = max(shares, key=lambda tier: shares[tier])
        able = {nearest_able(heaviest, policy, options): 1.0}
    total = math.fsum(able.values())
    chances = {tier: share / total for tier, share in able.items()}
    return Choice(chances, chances, f"{name} ({_listed(chances)})")


def _explore(strategy: Epsilon, policy: Policy, options: Options) -> Choice:
    named = nearest_able(strategy.use, policy, options)
    each = strategy.epsilon / len(options.able)
    chances = {tier: each + (1.0 - strategy.epsilon if tier == named else 0.0) for tier in options.able}
    return Choice(chances, chances, f"epsilon ({_listed(chances)})")


def _best(strategy: QualityAtCost, ask: Ask, options: Options) -> Choice:
    scores: dict[str, float] = {}
    for tier, target in options.able.items():
        cost = attempt_cost(target.card, ask.call, ask.features.prompt_tokens) / MICROUSD_PER_MILLIUSD
        quality = predicted_quality(ask.policy, tier, target.card, ask.features.difficulty)
        scores[tier] = quality - strategy.quality_per_milliusd * cost
    best = max(scores, key=lambda tier: scores[tier])  # the first of equals is the cheapest
    return Choice({best: 1.0}, scores, f"quality_at_cost ({_listed(scores)})")


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


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{tier} {number:.4g}" for tier, number in numbers.items())
