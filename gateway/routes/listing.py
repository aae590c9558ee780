"""What a request may name in `model`: virtual models, tiers, catalogue ids and aliases. Pure."""

from typing import Any

from headrace.contracts.errors import NotFound
from headrace.contracts.policy import Policy
from headrace.router.policies.names import known_names


def listed(policy: Policy, embedding_id: str | None, created: int) -> list[dict[str, Any]]:
    """Return OpenAI's model objects for every name a request may carry."""
    names = dict.fromkeys((*known_names(policy), *policy.aliases, *((embedding_id,) if embedding_id else ())))
    return [{"id": name, "object": "model", "created": created, "owned_by": "headrace"} for name in names]


def unknown_model(name: str) -> NotFound:
    """Return OpenAI's error for a model nobody knows."""
    return NotFound(
        f"The model `{name[:200]}` does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )
