"""What is wrong with a rule's `use`: tiers that do not exist, and numbers out of their bounds."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Epsilon,
    Experts,
    Latency,
    Limits,
    Policy,
    QualityAtCost,
    Use,
    Weighted,
)
from headrace.router.policies.panel import seatable
from headrace.router.policies.problem import Path, Problem, tier_name, unknown

SHARES_TOLERANCE: Final = 1e-6


def use_problems(policy: Policy, here: Path, use: Use, limits: Limits) -> Iterator[Problem]:
    """Yield everything that is wrong with one rule's `use`; limits: those of its virtual model. Pure."""
    match use:
        case str():
            yield from tier_name(policy, here, use)
        case Weighted():
            yield from _shares(policy, (*here, "tiers"), use)
        case Canary():
            yield from _canary(policy, here, use)
        case Epsilon():
            yield from tier_name(policy, (*here, "use"), use.use)
            if not 0 < use.epsilon <= 1:
                yield Problem((*here, "epsilon"), f"epsilon {use.epsilon}", "use a number over 0 up to 1, say 0.05")
        case QualityAtCost():
            yield from _price((*here, "lambda"), use.quality_per_milliusd)
        case Latency():
            yield from tier_name(policy, (*here, "use"), use.use)
            yield from _seconds((*here, "deadline_s"), use.deadline_s, "2.0")
        case BudgetPacing():
            yield from _budget(policy, here, use)
        case Experts():
            yield from _experts(policy, here, use, limits)


def _canary(policy: Policy, here: Path, use: Canary) -> Iterator[Problem]:
    yield from tier_name(policy, (*here, "use"), use.use)
    yield from tier_name(policy, (*here, "to"), use.to)
    if use.use == use.to:
        yield Problem((*here, "to"), f"{use.to!r} is the tier of `use` too", "name another tier")
    if not 0 < use.share < 1:
        yield Problem((*here, "share"), f"share {use.share}", "use a number over 0 and under 1, say 0.05")


def _price(path: Path, quality_per_milliusd: float) -> Iterator[Problem]:
    if not (math.isfinite(quality_per_milliusd) and quality_per_milliusd >= 0):
        yield Problem(path, f"lambda {quality_per_milliusd}", "use 0 or more, say 0.5")


def _seconds(path: Path, seconds: float, example: str) -> Iterator[Problem]:
    if not (math.isfinite(seconds) and seconds > 0):
        yield Problem(path, f"{path[-1]} of {seconds}", f"use more than 0, say {example}")


def _budget(policy: Policy, here: Path, use: BudgetPacing) -> Iterator[Problem]:
    yield from tier_name(policy, (*here, "use"), use.use)
    yield from tier_name(policy, (*here, "else"), use.otherwise)
    order = [tier.id for tier in policy.tiers]
    if {use.use, use.otherwise} <= set(order) and order.index(use.otherwise) >= order.index(use.use):
        what = f"{use.otherwise!r} is no cheaper than {use.use!r}"
        yield Problem(
            (*here, "else"), what, "name a tier that stands before it in `tiers`, which begins with the cheapest"
        )
    if use.microusd <= 0:
        key = "usd_per_1k" if use.window_s is None else "usd"
        yield Problem((*here, key), "nothing may be spent", "use more than 0; to spend nothing, name the cheap tier")
    if use.window_s is not None:
        yield from _seconds((*here, "window_s"), use.window_s, "86400 for a day")


def _shares(policy: Policy, here: Path, use: Weighted) -> Iterator[Problem]:
    for tier, share in use.shares.items():
        yield from tier_name(policy, (*here, tier), tier)
        if not 0 <= share <= 1:
            yield Problem((*here, tier), f"share {share}", "use a number from 0 to 1")
    total = math.fsum(use.shares.values())
    if not abs(total - 1) <= SHARES_TOLERANCE:
        yield Problem(here, f"the shares add up to {total:.6g}", "make them add up to 1")


def _experts(policy: Policy, here: Path, use: Experts, limits: Limits) -> Iterator[Problem]:
    every = seatable(policy, replace(use, backends=()))
    for index, backend in enumerate(use.backends):
        if backend not in policy.cards:
            yield unknown((*here, "backends", index), "backend", backend, every)
        elif backend not in every:
            what = f"backend {backend!r} stands in no tier"
            yield Problem((*here, "backends", index), what, "make it a tier's `default` or one of its `specialists`")
        elif backend in use.backends[:index]:
            yield Problem((*here, "backends", index), f"{backend!r} stands there twice", "name every backend once")
    seats, asked = len(seatable(policy, use)), use.top_k + (use.fuse == "judge")
    if not 1 <= use.top_k <= seats:
        yield Problem((*here, "top_k"), f"{use.top_k} of {seats} backends", f"use a number from 1 to {seats}")
    elif use.top_k > 1 and asked > limits.max_attempts:
        what = f"{asked} attempts at once, and limits.max_attempts is {limits.max_attempts}"
        yield Problem((*here, "top_k"), what, f"set limits: {{max_attempts: {asked}}}, or ask fewer")
    if use.judge:
        yield from tier_name(policy, (*here, "judge"), use.judge)
    if (use.fuse == "judge") != bool(use.judge):
        yield Problem((*here, "judge"), "a judge goes with `fuse: judge`, and only with it", "write both or neither")
    yield from _price((*here, "lambda"), use.quality_per_milliusd)
    yield from _seconds((*here, "deadline_s"), use.deadline_s, "30.0")
