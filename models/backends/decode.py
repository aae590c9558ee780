"""Answers of an endpoint as contract shapes: chat and legacy completions, streamed and whole. Pure.

Legacy completions become chat shapes (delta or message content = text; parallel log-probability lists = token list).
An error object in place of an answer raises BackendStatus.
"""

from typing import Any

import msgspec

from headrace.contracts.chat import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Endpoint,
    Logprobs,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from headrace.contracts.errors import BackendProtocol
from headrace.models.backends.failures import status_error

_NULLABLE = frozenset({"content", "refusal"})


class _LegacyLogprobs(msgspec.Struct):
    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class _LegacyChoice(msgspec.Struct):
    index: int = 0
    text: str = ""
    logprobs: _LegacyLogprobs | None = None
    finish_reason: str | None = None


class _Legacy(msgspec.Struct):
    choices: list[_LegacyChoice] = []
    usage: Usage | None = None
    id: str = ""
    created: int = 0
    model: str = ""


_chunk = msgspec.json.Decoder(Chunk).decode
_completion = msgspec.json.Decoder(Completion).decode
_legacy = msgspec.json.Decoder(_Legacy).decode


def decode_chunk(payload: bytes, endpoint: Endpoint, backend: str) -> Chunk:
    """Return one streamed event; BackendProtocol if it is none, BackendStatus if it is an error object."""
    try:
        chunk = _chunk(payload) if endpoint == "chat" else _legacy_chunk(_legacy(payload))
    except (msgspec.DecodeError, UnicodeDecodeError):
        chunk = _lenient(payload, endpoint, backend)
    if not chunk.choices and chunk.usage is None:
        _raise_error_object(payload, backend)
    return chunk


def decode_completion(body: bytes, endpoint: Endpoint, backend: str) -> Completion:
    """Return a whole answer; BackendProtocol if it is none or has no choice, BackendStatus for an error object."""
    try:
        answer = _completion(body) if endpoint == "chat" else _legacy_completion(_legacy(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        _raise_error_object(body, backend)
        raise BackendProtocol(f"backend {backend!r}: the answer is not the JSON of a completion") from exc
    if not answer.choices:
        _raise_error_object(body, backend)
        raise BackendProtocol(f"backend {backend!r}: the answer has no choices")
    for choice in answer.choices:  # engines write null for what is absent; strict clients refuse it
        choice.message = {k: v for k, v in choice.message.items() if v is not None or k in _NULLABLE}
    return answer


def _lenient(payload: bytes, endpoint: Endpoint, backend: str) -> Chunk:
    """Read what sloppy servers send (null ids, float times) once the strict decoder has refused it."""
    try:
        loose = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BackendProtocol(f"backend {backend!r}: an event of the stream is not JSON (cut short?)") from exc
    if not isinstance(loose, dict):
        raise BackendProtocol(f"backend {backend!r}: an event of the stream is not a JSON object")
    _raise_error_object(payload, backend)
    kept = {key: value for key, value in loose.items() if value is not None}
    if isinstance(kept.get("created"), float):
        kept["created"] = int(kept["created"])
    try:
        if endpoint == "chat":
            return msgspec.convert(kept, Chunk, strict=False)
        return _legacy_chunk(msgspec.convert(kept, _Legacy, strict=False))
    except (msgspec.ValidationError, OverflowError) as exc:
        raise BackendProtocol(f"backend {backend!r}: an event of the stream is no completion chunk") from exc


def _raise_error_object(payload: bytes, backend: str) -> None:
    try:
        loose = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    error: Any = loose.get("error") if isinstance(loose, dict) else None
    if isinstance(loose, dict) and error is None and loose.get("object") == "error":
        error = loose
    if error:
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500  # noqa: PLR2004  (HTTP's error range)
        raise status_error(backend, status, payload, retry_after_s=None)


def _legacy_chunk(legacy: _Legacy) -> Chunk:
    choices = [
        ChunkChoice(c.index, {"content": c.text} if c.text else {}, _token_list(c.logprobs), c.finish_reason)
        for c in legacy.choices
    ]
    return Chunk(choices, legacy.usage, legacy.id, legacy.created, legacy.model)


def _legacy_completion(legacy: _Legacy) -> Completion:
    choices = [
        Choice(c.index, {"role": "assistant", "content": c.text}, _token_list(c.logprobs), c.finish_reason)
        for c in legacy.choices
    ]
    return Completion(choices, legacy.usage, legacy.id, legacy.created, legacy.model)


def _token_list(legacy: _LegacyLogprobs | None) -> Logprobs | None:
    if legacy is None:
        return None
    tops = legacy.top_logprobs or [None] * len(legacy.tokens)
    content = [
        TokenLogprob(
            token, value if value is not None else 0.0, None, [TopLogprob(t, v) for t, v in (top or {}).items()]
        )
        for token, value, top in zip(legacy.tokens, legacy.token_logprobs, tops, strict=False)
    ]
    return Logprobs(content=content)
