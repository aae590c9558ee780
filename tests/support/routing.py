"""Small policies, cards, calls and features for tests of the router and the gateway."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.models import Capability, ModelCard, Price
from headrace.contracts.policy import Comparison, LowConfidence, Policy, Probe, Rule, Tier, VirtualModel
from headrace.contracts.routing import Features

CHAT: frozenset[Capability] = frozenset({"stream", "logprobs", "tools", "json_schema"})
TIERS = ("small", "middle", "large")


def card(
    name: str, *, context_tokens: int = 4096, capabilities: frozenset[Capability] = CHAT, price: str = "1"
) -> ModelCard:
    return ModelCard(name, context_tokens, capabilities, Price(Decimal(price), Decimal(price) * 2))


def hard(bar: float = 0.5) -> Comparison:
    return Comparison("difficulty", "gt", bar)


def policy(
    model: VirtualModel | None = None,
    *,
    tiers: tuple[str, ...] = ("small", "large"),
    cards: Mapping[str, ModelCard] | None = None,
    **fields: Any,
) -> Policy:
    """Return a policy whose tier t is served by the backend "t-backend", card "t-model", dearer by ten each."""
    made = {f"{tier}-backend": card(f"{tier}-model", price=str(10**index)) for index, tier in enumerate(tiers)}
    virtual = model if model is not None else auto()
    return Policy(
        revision="r1",
        tiers=tuple(Tier(tier, f"{tier}-backend", **fields.pop(tier, {})) for tier in tiers),
        virtual_models={virtual.name: virtual},
        cards={**made, **(cards or {})},
        **fields,
    )


def auto(**fields: Any) -> VirtualModel:
    """Return headrace/auto: hard questions to large, the rest to small, judged."""
    fields.setdefault("select", (Rule("hard", hard(), "large"), Rule("default", None, "small")))
    fields.setdefault("on_low_confidence", LowConfidence(Probe(tokens=4, s=1.5), 0.05, ("large",)))
    return VirtualModel("headrace/auto", **fields)


def features(**fields: Any) -> Features:
    values: dict[str, Any] = {
        "difficulty": 0.1,
        "domain": "chat",
        "unfamiliar": False,
        "prompt_tokens": 10,
        "turns": 1,
        "tools": False,
        "json": False,
        "language": "en",
        "key": "k",
        "tenant": "t",
    }
    return Features(**{**values, **fields})


def call(model: str = "headrace/auto", **fields: Any) -> ChatCall:
    fields.setdefault("endpoint", "chat")
    fields.setdefault("messages", (Message("user", "Hi"),))
    fields.setdefault("wire", {})
    return ChatCall(model=model, **fields)


def tool(name: str = "look_up", **parameters: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters or schema}}
