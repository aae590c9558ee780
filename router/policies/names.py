"""What the name in a request's `model` field means."""

from headrace.contracts.errors import NotFound
from headrace.contracts.policy import Policy, Tier, VirtualModel

TIER_PREFIX = "headrace/"


def resolve(policy: Policy, name: str) -> VirtualModel | Tier | tuple[str, ...]:
    """Return the virtual model, the tier, or the ids of the backends that serve the named catalogue id.

    A backend id names that backend alone. An alias is followed once. NotFound for anything else.
    """
    found = _direct(policy, name)
    if found is None and name in policy.aliases:
        found = _direct(policy, policy.aliases[name])
    if found is None:
        raise NotFound(
            f"The model `{name}` does not exist or you do not have access to it.", param="model", code="model_not_found"
        )
    return found


def is_known(policy: Policy, name: str) -> bool:
    """Tell whether the name means something without any alias."""
    return _direct(policy, name) is not None


def known_names(policy: Policy) -> tuple[str, ...]:
    """Every name a client may use apart from aliases: virtual models, tiers, catalogue ids, backend ids; no repeats."""
    tiers = (TIER_PREFIX + tier.id for tier in policy.tiers)
    card_ids = (card.id for card in policy.cards.values())
    return tuple(dict.fromkeys((*policy.virtual_models, *tiers, *card_ids, *policy.cards)))


def _direct(policy: Policy, name: str) -> VirtualModel | Tier | tuple[str, ...] | None:
    if name in policy.virtual_models:
        return policy.virtual_models[name]
    for tier in policy.tiers:
        if name == TIER_PREFIX + tier.id:
            return tier
    if name in policy.cards:
        return (name,)
    return tuple(backend for backend, card in policy.cards.items() if card.id == name) or None
