"""A conversation and its answer, neutral of endpoint: chat, completions (later responses, messages) are codecs over it.

All are msgspec Structs: what comes from the wire is decoded straight from bytes, and what is made once a request is
made in C (docs/decisions/0007).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from headrace.contracts.retrieval import FileSearch

JsonObject = dict[str, Any]
Endpoint = Literal["chat", "completions"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class Message(msgspec.Struct, frozen=True):
    """One turn as the router sees it: role and plain text (text parts joined by newlines)."""

    role: str
    text: str


class ChatCall(msgspec.Struct, frozen=True):
    """One validated request.

    model: the name the client asked for. messages: what the router reads. `wire` holds every validated request field
    that goes upstream as it came (messages, tools, response_format, sampling, stop, seed, ...), JSON-ready
    (values may be msgspec.Raw); it never holds model, stream, stream_options, logprobs or top_logprobs, which the
    backend sets itself from the fields below and from UpstreamCall.
    max_tokens: the client's bound on new tokens (max_completion_tokens wins over max_tokens), None = engine default.
    file_search: the documents it wants to be answered from; never a part of `tools`, which are the client's own.
    shows_hits: what was found comes back with the answer.
    """

    model: str
    endpoint: Endpoint
    messages: tuple[Message, ...]
    wire: Mapping[str, Any]
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    max_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    tools: tuple[JsonObject, ...] = ()
    tool_choice: str | JsonObject | None = None
    response_format: JsonObject | None = None
    metadata: Mapping[str, str] = {}
    user: str | None = None
    file_search: FileSearch | None = None
    shows_hits: bool = False

    @property
    def wants_json(self) -> bool:
        """True when the answer must be JSON (json_object or json_schema)."""
        return self.response_format is not None and self.response_format.get("type") in {"json_object", "json_schema"}


class TopLogprob(msgspec.Struct, omit_defaults=True):
    """An alternative at one position."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct):
    """One generated token. `logprob` is natural log."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class Logprobs(msgspec.Struct):
    """Log-probabilities of a choice or of a chunk; `content` is None where there are none."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class Usage(msgspec.Struct, omit_defaults=True):
    """Tokens as OpenAI counts them."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: JsonObject | None = None
    completion_tokens_details: JsonObject | None = None


class EstimatedUsage(Usage):
    """Tokens the gateway counted itself, because the engine gave no figure or one nobody can believe.

    On the wire it is a plain Usage; the class is the mark (`Attempt.usage_estimated`).
    """


class ChunkChoice(msgspec.Struct):
    """One choice of a streamed chunk. `delta` keeps fields we do not know."""

    index: int = 0
    delta: JsonObject = msgspec.field(default_factory=dict)
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """One streamed event of an upstream answer."""

    choices: list[ChunkChoice] = []
    usage: Usage | None = None
    id: str = ""
    created: int = 0
    model: str = ""


class Choice(msgspec.Struct):
    """One choice of a whole answer. `message` keeps fields we do not know."""

    index: int = 0
    message: JsonObject = msgspec.field(default_factory=dict)
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole answer."""

    choices: list[Choice]
    usage: Usage | None = None
    id: str = ""
    created: int = 0
    model: str = ""


class EmbeddingCall(msgspec.Struct, frozen=True):
    """Texts (or token id lists) to embed with one model; `dimensions` truncates and renormalises."""

    model: str
    inputs: Sequence[str] | Sequence[Sequence[int]]
    dimensions: int | None = None
