"""`POST /v1/completions`, the older text endpoint: the request to a ChatCall, and answer or stream back to bytes.

The backend answers in the shape of a chat (text in `content`), so that the cascade judges both endpoints alike.
Prompts are one text each: lists of several prompts and token ids have no single question to judge.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from headrace.contracts.chat import ChatCall, Chunk, Completion, JsonObject, Logprobs, Message
from headrace.contracts.errors import InvalidRequest
from headrace.gateway import strict
from headrace.gateway.codecs import fields
from headrace.gateway.codecs.fields import Sampling, Unread

Prompt = str | Annotated[list[str | int | Annotated[list[int], Meta(max_length=131_072)]], Meta(max_length=131_072)]


class CompletionRequest(Sampling, kw_only=True, forbid_unknown_fields=True):
    """Every field of OpenAI's completions request."""

    prompt: Prompt
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=fields.MAX_N)] | None = None
    echo: bool | None = None
    suffix: Annotated[str, Meta(max_length=100_000)] | None = None
    response_format: Unread = msgspec.UNSET


_REQUEST: Final = msgspec.json.Decoder(CompletionRequest)
_ENCODE: Final = msgspec.json.Encoder().encode
_FORWARDED: Final = fields.Fields(*fields.FORWARDED)


def read_call(body: bytes, *, max_depth: int) -> ChatCall:
    """Return the validated call; InvalidRequest names the field."""
    request = strict.decode(body, _REQUEST, max_depth=max_depth)
    prompt = _only_prompt(request.prompt)
    _refuse_unsupported(request)
    wire = _FORWARDED.of(request)
    wire["prompt"] = prompt
    return ChatCall(
        model=request.model,
        endpoint="completions",
        messages=(Message(role="user", text=prompt),),
        wire=wire,
        stream=bool(request.stream),
        include_usage=fields.includes_usage(request),
        n=request.n or 1,
        max_tokens=request.max_tokens,
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs,
        user=request.user,
    )


def render(answer: Completion, *, answer_id: str, created: int, model: str) -> bytes:
    """Return a whole answer as OpenAI's text completion."""
    body: JsonObject = {
        "id": answer_id,
        "object": "text_completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": choice.index,
                "text": choice.message.get("content") or "",
                "logprobs": _legacy(choice.logprobs, 0),
                "finish_reason": choice.finish_reason or "stop",
            }
            for choice in answer.choices
        ],
    }
    if answer.usage is not None:
        body["usage"] = answer.usage
    return _ENCODE(body)


class CompletionEvents:
    """Renders the chunks of one stream; keeps each choice's text length for `text_offset`."""

    def __init__(self, *, answer_id: str, created: int, model: str, include_usage: bool) -> None:
        head = {"id": answer_id, "object": "text_completion", "created": created, "model": model}
        self._head = b"data: " + _ENCODE(head)[:-1] + b',"choices":'
        self._include_usage = include_usage
        self._offsets: dict[int, int] = {}
        self._usage: Any = None

    def render(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of a batch, ready for the socket."""
        events = bytearray()
        for chunk in chunks:
            if chunk.usage is not None:
                self._usage = chunk.usage
            choices = [self._choice(choice) for choice in chunk.choices if choice.delta or choice.finish_reason]
            if choices:
                events += self._head + _ENCODE(choices) + b"}\n\n"
        return bytes(events)

    def end(self) -> bytes:
        """Return the usage chunk if it was asked for, then the end mark."""
        tail = b"data: [DONE]\n\n"
        if self._include_usage and self._usage is not None:
            return self._head + b'[],"usage":' + _ENCODE(self._usage) + b"}\n\n" + tail
        return tail

    def _choice(self, choice: Any) -> JsonObject:  # noqa: ANN401  (a ChunkChoice; JSON-ready values inside)
        text = choice.delta.get("content") or ""
        offset = self._offsets.get(choice.index, 0)
        self._offsets[choice.index] = offset + len(text)
        return {
            "index": choice.index,
            "text": text,
            "logprobs": _legacy(choice.logprobs, offset),
            "finish_reason": choice.finish_reason,
        }


def _legacy(logprobs: Logprobs | None, offset: int) -> JsonObject | None:
    """Return log-probabilities in the older shape: four lists, one entry a token."""
    if logprobs is None or logprobs.content is None:
        return None
    tokens = logprobs.content
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{top.token: top.logprob for top in token.top_logprobs} for token in tokens],
        "text_offset": offsets,
    }


def _only_prompt(prompt: Any) -> str:  # noqa: ANN401  (str or a list, as decoded)
    if isinstance(prompt, list):
        if len(prompt) == 1 and isinstance(prompt[0], str):
            return str(prompt[0])
        raise InvalidRequest(
            "'prompt' must be one text: send several prompts as several requests, and token ids as text",
            param="prompt",
            code="unsupported_parameter",
        )
    return str(prompt)


def _refuse_unsupported(request: CompletionRequest) -> None:
    if fields.is_set(request.response_format):
        raise _unsupported("response_format", "ask for JSON through /v1/chat/completions")
    if request.suffix:
        raise _unsupported("suffix", "no tier fills in the middle of a text")
    if request.echo:
        raise _unsupported("echo", "the prompt is not repeated; prepend it on your side")
    if request.best_of is not None and request.best_of > (request.n or 1):
        raise _unsupported("best_of", "ask for 'n' answers and choose on your side")


def _unsupported(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' is not supported here: {why}", param=name, code="unsupported_parameter")
