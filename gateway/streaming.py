"""Server-sent events of a chat stream, by the rules that clients rely on.

One id, time and model on every chunk; the role once a choice; `finish_reason` always there; the index of a tool call
always there, its id, type and name once; at most one usage chunk, last, only if asked for; `[DONE]` at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from headrace.contracts.chat import Chunk, ChunkChoice, Completion, JsonObject, Usage
from headrace.gateway.codecs.chat import clean_message

PING: Final = b": ping\n\n"
PING_EVERY_S: Final = 15.0
HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

_DONE: Final = b"data: [DONE]\n\n"
_ENCODE: Final = msgspec.json.Encoder().encode


class Events(Protocol):
    """Turns the chunks of one stream into events."""

    def render(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of a batch, ready for the socket; may be empty."""
        ...

    def end(self) -> bytes:
        """Return what closes the stream."""
        ...


class Whole(Protocol):
    """Turns a whole answer into a body."""

    def __call__(self, answer: Completion, *, answer_id: str, created: int, model: str) -> bytes:
        """Return the body."""
        ...


class Stream(Protocol):
    """Opens the events of one stream."""

    def __call__(self, *, answer_id: str, created: int, model: str, include_usage: bool) -> Events:
        """Return a fresh renderer."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one endpoint writes answers; a new endpoint over the same pipeline is a row of this kind."""

    endpoint: str
    id_prefix: str
    whole: Whole
    stream: Stream


class ChatEvents:
    """The chat dialect. One object a stream."""

    def __init__(self, *, answer_id: str, created: int, model: str, include_usage: bool) -> None:
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + _ENCODE(head)[:-1] + b',"choices":'
        self._call_id = "call_" + answer_id.rpartition("-")[2][:24]
        self._include_usage = include_usage
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._spoken: set[int] = set()
        self._named: set[tuple[int, int]] = set()
        self._usage: Usage | None = None

    def render(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the events of a batch, ready for the socket; empty deltas make no event."""
        events: list[bytes] = []
        for chunk in chunks:
            if chunk.usage is not None:
                self._usage = chunk.usage
            choices = [shaped for choice in chunk.choices if (shaped := self._choice(choice)) is not None]
            if choices:
                events += (self._head, _ENCODE(choices), self._tail)
        return b"".join(events)

    def end(self) -> bytes:
        """Return the usage chunk if it was asked for, then the end mark."""
        if self._include_usage and self._usage is not None:
            return self._head + b'[],"usage":' + _ENCODE(self._usage) + b"}\n\n" + _DONE
        return _DONE

    def _choice(self, choice: ChunkChoice) -> JsonObject | None:
        delta = choice.delta
        if len(delta) == 1 and delta.get("content") and choice.index in self._spoken:  # nearly every chunk
            return self._shaped(choice, delta)
        delta = clean_message(delta)
        delta.pop("role", None)
        if choice.index not in self._spoken:
            self._spoken.add(choice.index)
            delta = {"role": "assistant", **delta}
            delta.setdefault("content", "")
        elif delta.get("content") == "":
            del delta["content"]
        if "tool_calls" in delta:
            delta["tool_calls"] = [self._tool(choice.index, call, n) for n, call in enumerate(delta["tool_calls"])]
        if not delta and choice.finish_reason is None and choice.logprobs is None:
            return None
        return self._shaped(choice, delta)

    @staticmethod
    def _shaped(choice: ChunkChoice, delta: JsonObject) -> JsonObject:
        return {
            "index": choice.index,
            "delta": delta,
            "logprobs": choice.logprobs,
            "finish_reason": choice.finish_reason,
        }

    def _tool(self, choice: int, call: JsonObject, place: int) -> JsonObject:
        index = call.get("index", place)
        function = call.get("function") or {}
        if (choice, index) in self._named:
            return {"index": index, "function": {"arguments": function.get("arguments") or ""}}
        self._named.add((choice, index))
        named = {"name": function.get("name") or "", "arguments": function.get("arguments") or ""}
        return {
            "index": index,
            "id": call.get("id") or f"{self._call_id}{choice}{index}",
            "type": "function",
            "function": named,
        }


def error_event(body: JsonObject) -> bytes:
    """Return an error in mid-stream: one chunk with an `error` object, after which nothing comes."""
    return b"data: " + _ENCODE(body) + b"\n\n"
