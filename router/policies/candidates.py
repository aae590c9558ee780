"""Who could have answered a request, and what speaks for each. Pure; for explaining, the planner does not need it."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from headrace.contracts.policy import VirtualModel
from headrace.contracts.routing import Plan, Target
from headrace.router.policies.cost import attempt_cost
from headrace.router.policies.names import resolve
from headrace.router.policies.survey import Ask
from headrace.router.policies.value import predicted_qualities

Basis = Literal["quality model", "difficulty"]


class Candidate(msgspec.Struct, frozen=True):
    """One backend of one tier.

    quality: predicted P(its answer is right); from difficulty alone it is relative to the strongest tier, which has 1.
    cost_microusd: expected, of one answer. why_left_out: why it cannot serve the request, empty where it can.
    chance: probability that it stands first, None where the rule names a tier. score: what the rule's strategy
    compared, None likewise.
    """

    tier: str
    backend: str
    model: str
    quality: float
    basis: Basis
    cost_microusd: int
    why_left_out: str = ""
    chance: float | None = None
    score: float | None = None


def candidates(ask: Ask, plan: Plan) -> tuple[Candidate, ...]:
    """Return the backend of every tier, weakest first, and any other that was compared; none for a named model."""
    if not isinstance(resolve(ask.policy, ask.call.model), VirtualModel):
        return ()
    targets = [*_targets(ask, plan)]
    quality = predicted_qualities(ask, targets)
    basis: Basis = "quality model" if quality.keys() <= ask.features.quality.keys() else "difficulty"
    return tuple(
        Candidate(
            tier=target.tier,
            backend=target.backend,
            model=target.card.id,
            quality=quality[target.backend],
            basis=basis,
            cost_microusd=attempt_cost(target.card, ask.call, ask.features.prompt_tokens),
            why_left_out=plan.skipped.get(target.tier, ""),
            chance=plan.chances.get(target.tier, 0.0) if plan.chances else None,
            score=plan.scores.get(target.backend, plan.scores.get(target.tier)),
        )
        for target in targets
    )


def _targets(ask: Ask, plan: Plan) -> Iterator[Target]:
    """Yield the planned target of a tier where there is one, else the backend that it would have for the domain."""
    planned = {target.tier: target for target in (*plan.targets, *plan.failure_targets.values())}
    for tier in ask.policy.tiers:
        usual = tier.specialists.get(ask.features.domain, tier.default)
        own = planned[tier.id].backend if tier.id in planned else usual
        compared = [backend for backend in tier.backend_ids() if backend in plan.scores and backend != own]
        for backend in (own, *compared):
            yield Target(tier.id, backend, ask.policy.cards[backend], judged=False)
