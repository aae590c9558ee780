"""Whether the gateway should get traffic: not before every tier has answered once, not while it drains."""

from collections.abc import Callable

from headrace.contracts.policy import Policy, VirtualModel
from headrace.router.policies.strategies import reach


class Readiness:
    """Remembers which backends have answered since start. Safe to share between tasks."""

    def __init__(self) -> None:
        self._answered: set[str] = set()
        self._all_answered = False
        self.draining = False

    def answered(self, backend: str) -> None:
        """Note that a backend has answered."""
        self._answered.add(backend)

    def obstacles(self, policy: Policy, is_live: Callable[[str], bool]) -> tuple[str, ...]:
        """Return what stands between this gateway and traffic, empty when nothing does."""
        if self.draining:
            return ("shutting down",)
        if not self._all_answered:
            waiting = tuple(tier.id for tier in policy.tiers if self._answered.isdisjoint(tier.backend_ids()))
            if waiting:
                return tuple(f"tier {tier} has not answered yet" for tier in waiting)
            self._all_answered = True
        order = [tier.id for tier in policy.tiers]
        live = {tier.id for tier in policy.tiers if any(map(is_live, tier.backend_ids()))}
        return tuple(
            f"no tier of {model.name} is live"
            for model in policy.virtual_models.values()
            if live.isdisjoint(_tiers_of(model, order))
        )


def _tiers_of(model: VirtualModel, order: list[str]) -> set[str]:
    named = {tier for rule in model.select for tier in reach(rule.use, order)}
    if model.on_low_confidence is not None:
        named.update(model.on_low_confidence.then)
    for rule in model.on_failure:
        named.update(rule.then)
    return named
