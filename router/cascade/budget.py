"""Whether one more attempt fits the bounds of a request: their number and their cost."""

from collections.abc import Sequence

from headrace.contracts.chat import ChatCall
from headrace.contracts.routing import Attempt, Plan, Target
from headrace.router.policies.cost import attempt_cost


def refusal(plan: Plan, call: ChatCall, trail: Sequence[Attempt], target: Target) -> str:
    """Return why the target may not be tried after the attempts of `trail`, empty when it may. Pure."""
    limits = plan.limits
    if len(trail) >= limits.max_attempts:
        return f"{limits.max_attempts} attempts are used up"
    if limits.max_cost_microusd is None:
        return ""
    spent = sum(attempt.cost_microusd for attempt in trail)
    needed = attempt_cost(target.card, call, plan.features.prompt_tokens)
    if spent + needed > limits.max_cost_microusd:
        return f"{spent} micro-USD are spent and {needed} more would pass {limits.max_cost_microusd}"
    return ""
