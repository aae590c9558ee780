"""What a model must be able to do for one request, and whether it can."""

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.models import Capability, ModelCard


class Need(msgspec.Struct, frozen=True):
    """One thing the request needs: the capability, the request field that asks for it, and its words for people."""

    capability: Capability
    field: str
    words: str


class Lack(msgspec.Struct, frozen=True):
    """Why a model cannot take a request: the request field to blame, the reason, and OpenAI's error code if any."""

    field: str
    why: str
    code: str | None = None


def needs(call: ChatCall) -> tuple[Need, ...]:
    """Return every capability the request asks for. `n` needs none: every chat backend repeats a prompt."""
    found: list[Need] = []
    if call.stream:
        found.append(Need("stream", "stream", "streaming"))
    if call.tools:
        found.append(Need("tools", "tools", "tool calls"))
    if call.wants_json:
        found.append(Need("json_schema", "response_format", "JSON answers"))
    if call.logprobs:
        found.append(Need("logprobs", "logprobs", "log-probabilities"))
    return tuple(found)


def lack(card: ModelCard, call: ChatCall, wanted: tuple[Need, ...], prompt_tokens: int) -> Lack | None:
    """Return the first reason why the model cannot answer, None when it can. prompt_tokens may be an estimate."""
    if "embeddings" in card.capabilities:
        return Lack("model", f"{card.id} embeds text and does not chat")
    for need in wanted:
        if need.capability not in card.capabilities:
            return Lack(need.field, f"{card.id} does not support {need.words}")
    if prompt_tokens + 1 > card.context_tokens:
        return Lack(
            "messages",
            f"{card.id} reads at most {card.context_tokens} tokens and the prompt has about {prompt_tokens}",
            "context_length_exceeded",
        )
    if call.max_tokens is not None and prompt_tokens + call.max_tokens > card.context_tokens:
        return Lack(
            "max_completion_tokens",
            f"{card.id} holds {card.context_tokens} tokens and this needs about {prompt_tokens} + {call.max_tokens}",
            "context_length_exceeded",
        )
    return None
