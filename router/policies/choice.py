"""What a strategy makes of one request. Every strategy, in whatever file, answers with one of these."""

from collections.abc import Collection, Mapping

import msgspec

from headrace.contracts.policy import Rule, VirtualModel
from headrace.contracts.routing import Pace
from headrace.router.policies.survey import Ask


class Choice(msgspec.Struct, frozen=True):
    """What a strategy makes of one request, each by tier id, weakest tier first.

    chances: probability of being chosen, over 0, together 1. scores: what was compared. words: all that, for people.
    barred: tiers that not even a conversation that is there may stay on. is_final: nothing stronger is tried after.
    """

    chances: Mapping[str, float]
    scores: Mapping[str, float]
    words: str
    barred: Collection[str] = ()
    is_final: bool = False
    pace: Pace | None = None


class Warm(msgspec.Struct, frozen=True):
    """Where a conversation's prefix is warm: the tier, and how many tokens of it another tier would have to read."""

    tier: str = ""
    tokens: int = 0

    def missing(self, tier: str) -> int:
        """Return how many tokens the tier would read anew that the warm one need not."""
        return 0 if tier == self.tier else self.tokens

    def said(self) -> str:
        """Return it in words, to follow what was compared."""
        return f"; leaving {self.tier!r} abandons {self.tokens} warm tokens" if self.tokens else ""


COLD = Warm()


def warm_prefix(ask: Ask, model: VirtualModel) -> Warm:
    """Return where the conversation is warm; only a conversation is known to share a prefix, a user is not."""
    previous = ask.previous
    if model.affinity.key != "conversation" or previous is None or ask.features.turns <= 1:
        return COLD
    return Warm(previous.tier, min(previous.tokens, ask.features.prompt_tokens))


def place_of(model: VirtualModel, rule: Rule) -> tuple[str, str]:
    """Return the name under which a rule's budget is kept."""
    return model.name, rule.id


def listed(numbers: Mapping[str, float]) -> str:
    """Return numbers by tier, for people."""
    return ", ".join(f"{tier} {number:.4g}" for tier, number in numbers.items())
