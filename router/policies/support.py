"""What a policy makes of how well the retrieved passages support an answer. Pure."""

from typing import Final

from headrace.contracts.policy import Policy, Retrieve, Rule, VirtualModel
from headrace.contracts.routing import Features

UNSUPPORTED: Final = "unsupported"


def is_unsupported(retrieve: Retrieve | None, support: float | None) -> bool:
    """Tell whether a search was made and found nothing, or less support than the model's configuration asks for."""
    if retrieve is None or support is None:
        return False
    return support <= 0 or support < retrieve.min_support


def escalation(policy: Policy, model: VirtualModel, features: Features) -> Rule | None:
    """Return the rule that comes before all others where unsupported questions go to the strongest tier."""
    retrieve = model.retrieve
    if retrieve is None or retrieve.when_unsupported != "escalate":
        return None
    if not is_unsupported(retrieve, features.retrieval_support):
        return None
    return Rule(UNSUPPORTED, None, policy.tiers[-1].id)
