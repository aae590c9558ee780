"""A rule's strategy: from the tiers that are able to the probability of each, and from a drawn number to one tier.

Pure: whoever plans passes the number in. A tier that is not able is never chosen; what it would have got goes to the
others in proportion, so the probabilities stay exact.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Epsilon,
    Experts,
    Latency,
    OneTier,
    Policy,
    QualityAtCost,
    Rule,
    Use,
    VirtualModel,
    Weighted,
)
from headrace.router.policies.choice import Choice, listed, place_of, warm_prefix
from headrace.router.policies.latency import in_time
from headrace.router.policies.survey import Ask, Options, nearest_able
from headrace.router.policies.value import best_value, paced

_MANTISSA_BITS: Final = 53


def choose(strategy: OneTier, ask: Ask, model: VirtualModel, rule: Rule, options: Options) -> Choice:
    """Return the probability with which each able tier is to be chosen; `strategy` is what the model's rule uses."""
    match strategy:
        case Weighted():
            return _split("weighted", strategy.shares, ask.policy, options)
        case Canary():
            shares = {strategy.use: 1.0 - strategy.share, strategy.to: strategy.share}
            return _split("canary", shares, ask.policy, options)
        case Epsilon():
            return _explore(strategy, ask.policy, options)
        case QualityAtCost():
            return best_value(strategy, ask, options, warm_prefix(ask, model))
        case BudgetPacing():
            return paced(strategy, ask, options, warm_prefix(ask, model), ask.pace(*place_of(model, rule)))
        case Latency():
            return in_time(strategy, ask, model, options, warm_prefix(ask, model))


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
        case Epsilon() | QualityAtCost() | Experts():
            return tuple(tiers)
        case Latency():
            return tuple(tiers[: tiers.index(use.use) + 1]) if use.use in tiers else (use.use,)
        case BudgetPacing():
            return (use.otherwise, use.use)


def keeps(use: Use, tier: str) -> bool:
    """Tell whether the strategy is no reason to move a conversation away from the tier: it might have chosen it too.

    Exploring does not count: an epsilon rule stands for the tier it names.
    """
    match use:
        case str() | Latency():
            return False
        case Weighted():
            return use.shares.get(tier, 0.0) > 0
        case Canary():
            return tier in {use.use, use.to}
        case Epsilon():
            return tier == use.use
        case QualityAtCost() | Experts():
            return True
        case BudgetPacing():
            return tier in {use.use, use.otherwise}


def _split(name: str, shares: Mapping[str, float], policy: Policy, options: Options) -> Choice:
    able = {tier: shares[tier] for tier in options.able if shares.get(tier, 0.0) > 0}
    if not able:
        heaviest = max(shares, key=lambda tier: shares[tier])
        able = {nearest_able(heaviest, policy, options): 1.0}
    total = math.fsum(able.values())
    chances = {tier: share / total for tier, share in able.items()}
    return Choice(chances, chances, f"{name} ({listed(chances)})")


def _explore(strategy: Epsilon, policy: Policy, options: Options) -> Choice:
    named = nearest_able(strategy.use, policy, options)
    each = strategy.epsilon / len(options.able)
    chances = {tier: each + (1.0 - strategy.epsilon if tier == named else 0.0) for tier in options.able}
    return Choice(chances, chances, f"epsilon ({listed(chances)})")
