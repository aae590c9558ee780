"""What the scripted upstream may answer: proper OpenAI answers (`Say`), errors (`Problem`) and raw faults (`Raw`).

A reply turns a request into steps; the server in upstream.py only carries them out.
"""

import gzip
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Token = str | tuple[str, float]
UsagePolicy = Literal["final", "continuous", "twice", "none", "negative", "absurd"]


@dataclass(frozen=True)
class Send:
    """Bytes to write; the tokens in them are what the meter counts once they are written."""

    data: bytes
    completion_tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True)
class Wait:
    """Sleep, noticing a client that leaves."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """Wait for the test to say so; `name` tells which step this is."""

    wait: Callable[[int], Awaitable[None]]
    number: int


@dataclass(frozen=True)
class Hang:
    """Say nothing more until the client leaves or the server stops."""


@dataclass(frozen=True)
class Reset:
    """Drop the connection with a TCP reset."""


@dataclass(frozen=True)
class Close:
    """End the connection cleanly."""


Step = Send | Wait | Gate | Hang | Reset | Close


class Asked(Protocol):
    """The part of a request that a reply may look at."""

    path: str

    @property
    def json(self) -> Any: ...


class Reply(Protocol):
    """Anything that can answer."""

    def steps(self, asked: Asked) -> Iterator[Step]: ...


def head(status: int = 200, headers: Mapping[str, str] | None = None, *, length: int | None = None) -> bytes:
    """Return the bytes of a status line and headers; chunked transfer where no length is given."""
    framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in {**(headers or {}), **framing}.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk (an empty one ends the body)."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(payload: Any) -> bytes:
    """Return one server-sent event."""
    return b"data: " + (payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()) + b"\n\n"


SSE = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Say:
    """A proper answer, streamed or whole as the request asks, on chat or legacy completions.

    tokens: text, or (text, logprob). tokens_per_chunk > 1 packs several tokens into one delta, as engines do.
    tools: (name, JSON arguments) pairs, one argument token per character group of `argument_size`.
    first_s / delay_s: before the first and between later chunks. gate: awaited with the chunk number before each.
    usage: when usage is reported. logprobs: as asked, or never. reasoning: tokens of `delta.reasoning`, sent first.
    """

    tokens: Sequence[Token] = ("Hello", " from", " the", " scripted", " upstream", ".")
    finish_reason: str | None = "stop"
    tools: Sequence[tuple[str, str]] = ()
    reasoning: Sequence[Token] = ()
    prompt_tokens: int = 7
    logprob: float = -0.05
    tokens_per_chunk: int = 1
    first_s: float = 0.0
    delay_s: float = 0.0
    gate: Callable[[int], Awaitable[None]] | None = None
    usage: UsagePolicy = "final"
    logprobs: Literal["asked", "never"] = "asked"
    model: str | None = None
    done: bool = True
    argument_size: int = 8
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def completion_tokens(self) -> int:
        """Tokens of one choice."""
        calls = sum(1 + len(self._pieces(arguments)) for _, arguments in self.tools)
        return len(self.reasoning) + len(self.tokens) + calls

    @property
    def text(self) -> str:
        """The whole content."""
        return "".join(_text(token) for token in self.tokens)

    def steps(self, asked: Asked) -> Iterator[Step]:
        """Answer as the request asks."""
        if asked.json.get("stream"):
            yield from self._stream(asked)
        else:
            yield from self._whole(asked)

    def _whole(self, asked: Asked) -> Iterator[Step]:
        body = asked.json
        n = body.get("n") or 1
        legacy = _is_legacy(asked)
        answer = {
            "id": "cmpl-up" if legacy else "chatcmpl-up",
            "object": "text_completion" if legacy else "chat.completion",
            "created": 1_700_000_000,
            "model": self.model or body.get("model", ""),
            "choices": [self._choice(index, body, legacy=legacy) for index in range(n)],
        }
        if self.usage != "none":
            answer["usage"] = self._usage(n * self.completion_tokens)
        data = json.dumps(answer).encode()
        if self.first_s:
            yield Wait(self.first_s)
        if self.gate:
            yield Gate(self.gate, 0)
        spent = {"completion_tokens": n * self.completion_tokens, "prompt_tokens": self.prompt_tokens}
        yield Send(head(200, {**JSON, **self.headers}, length=len(data)) + data, **spent)

    def _choice(self, index: int, body: Mapping[str, Any], *, legacy: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "finish_reason": "tool_calls" if self.tools else self.finish_reason}
        if legacy:
            choice["text"] = self.text
            choice["logprobs"] = self._logprobs(self.tokens, body, legacy=True)
            return choice
        message: dict[str, Any] = {"role": "assistant", "content": None if self.tools else self.text}
        if self.reasoning:
            message["reasoning"] = "".join(_text(token) for token in self.reasoning)
        if self.tools:
            message["tool_calls"] = [
                {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for i, (name, arguments) in enumerate(self.tools)
            ]
        choice["message"] = message
        choice["logprobs"] = self._logprobs(self.tokens, body, legacy=False)
        return choice

    def _stream(self, asked: Asked) -> Iterator[Step]:
        body = asked.json
        n = body.get("n") or 1
        options = body.get("stream_options") or {}
        yield Send(head(200, {**SSE, **self.headers}), prompt_tokens=self.prompt_tokens)
        sent = 0
        for number, (deltas, tokens, finish) in enumerate(self._deltas(body, legacy=_is_legacy(asked))):
            if number == 0 and self.first_s:
                yield Wait(self.first_s)
            if number and self.delay_s:
                yield Wait(self.delay_s)
            if self.gate:
                yield Gate(self.gate, number)
            sent += tokens * n
            data = b""
            for index in range(n):
                frame = self._frame(asked, [{"index": index, "finish_reason": finish, **deltas}])
                if self.usage == "continuous":
                    frame["usage"] = self._usage(sent)
                data += event(frame)
            yield Send(chunk(data), completion_tokens=tokens * n)
        tail = b""
        wanted = {"none": 0, "twice": 2}.get(self.usage, 1) if options.get("include_usage") else 0
        for _ in range(wanted):
            tail += event({**self._frame(asked, []), "usage": self._usage(sent)})
        if self.done:
            tail += event("[DONE]")
        yield Send((chunk(tail) if tail else b"") + chunk(b""))

    def _deltas(self, body: Mapping[str, Any], *, legacy: bool) -> Iterator[tuple[dict[str, Any], int, str | None]]:
        if not legacy:
            yield {"delta": {"role": "assistant", "content": ""}, "logprobs": None}, 0, None
        for token in self.reasoning:
            yield (
                {"delta": {"reasoning": _text(token)}, "logprobs": self._logprobs([token], body, legacy=False)},
                1,
                None,
            )
        for start in range(0, len(self.tokens), self.tokens_per_chunk):
            group = self.tokens[start : start + self.tokens_per_chunk]
            text = "".join(_text(token) for token in group)
            content = {"text": text} if legacy else {"delta": {"content": text}}
            yield {**content, "logprobs": self._logprobs(group, body, legacy=legacy)}, len(group), None
        for i, (name, arguments) in enumerate(self.tools):
            opening = {"index": i, "id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": ""}}
            yield self._tool_delta(opening, name, body), 1, None
            for piece in self._pieces(arguments):
                yield self._tool_delta({"index": i, "function": {"arguments": piece}}, piece, body), 1, None
        if self.finish_reason is not None:
            reason = "tool_calls" if self.tools else self.finish_reason
            last: dict[str, Any] = {"text": ""} if legacy else {"delta": {}}
            yield {**last, "logprobs": None}, 0, reason

    def _tool_delta(self, call: dict[str, Any], text: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"delta": {"tool_calls": [call]}, "logprobs": self._logprobs([text], body, legacy=False)}

    def _pieces(self, arguments: str) -> list[str]:
        return [arguments[i : i + self.argument_size] for i in range(0, len(arguments), self.argument_size)]

    def _frame(self, asked: Asked, choices: list[dict[str, Any]]) -> dict[str, Any]:
        legacy = _is_legacy(asked)
        return {
            "id": "cmpl-up" if legacy else "chatcmpl-up",
            "object": "text_completion" if legacy else "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.model or asked.json.get("model", ""),
            "choices": choices,
        }

    def _usage(self, completion: int) -> dict[str, int]:
        prompt = self.prompt_tokens
        if self.usage == "negative":
            completion = -5
        if self.usage == "absurd":
            completion = 10**15
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _logprobs(self, tokens: Sequence[Token], body: Mapping[str, Any], *, legacy: bool) -> dict[str, Any] | None:
        asked = body.get("logprobs")
        if self.logprobs == "never" or asked is None or asked is False:
            return None
        pairs = [(token, self.logprob) if isinstance(token, str) else token for token in tokens]
        if legacy:
            return {
                "tokens": [text for text, _ in pairs],
                "token_logprobs": [value for _, value in pairs],
                "top_logprobs": [{text: value, "~": -9.0} for text, value in pairs] if asked else None,
                "text_offset": [0 for _ in pairs],
            }
        top = int(body.get("top_logprobs") or 0)
        return {
            "content": [
                {
                    "token": text,
                    "logprob": value,
                    "bytes": list(text.encode()),
                    "top_logprobs": [{"token": text, "logprob": value, "bytes": list(text.encode())}][:top],
                }
                for text, value in pairs
            ]
        }


@dataclass(frozen=True)
class Problem:
    """An error answer: OpenAI's shape unless `body` says otherwise."""

    status: int = 500
    message: str = "the scripted upstream is unwell"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def steps(self, asked: Asked) -> Iterator[Step]:  # noqa: ARG002  (the Reply protocol)
        """Send the error whole."""
        error = {"message": self.message, "type": "server_error", "param": None, "code": None}
        data = self.body if self.body is not None else json.dumps({"error": error}).encode()
        yield Send(head(self.status, {**JSON, **self.headers}, length=len(data)) + data)


@dataclass(frozen=True)
class Raw:
    """Exact steps, head included: for everything that is wrong on the wire."""

    script: Sequence[Step]

    def steps(self, asked: Asked) -> Iterator[Step]:  # noqa: ARG002  (the Reply protocol)
        """Carry out the script as it stands."""
        yield from self.script


def sse(*parts: bytes, headers: Mapping[str, str] | None = None, end: bool = True) -> Raw:
    """Return a streamed reply with one HTTP chunk per part, ended properly if `end`."""
    steps: list[Step] = [Send(head(200, {**SSE, **(headers or {})})), *(Send(chunk(part)) for part in parts)]
    return Raw([*steps, Send(chunk(b"")) if end else Close()])


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    """Return one plain chat chunk."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _text(token: Token) -> str:
    return token if isinstance(token, str) else token[0]


def _is_legacy(asked: Asked) -> bool:
    return asked.path.endswith("/completions") and not asked.path.endswith("/chat/completions")


_START = [Send(head(200, SSE)), Send(chunk(event(delta("Hel"))))]
_WHOLE = event(delta("Hel")) + event(delta("lo")) + event(delta("", "stop"))
_ODD = (
    b": a comment\r\n\r\n"
    b'data: {"choices": [{"index": 0,\r\ndata:  "delta": {"content": "H\xc3\xa9l"}, "finish_reason": null}]}\r\r'
    b"event: message\nid: 7\nretry: 10\n"
    b'data:{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\r\n\r\n"
)
_TEXT_BODY = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "cut"}}]}).encode()

FAULTS: Mapping[str, Reply] = {
    "accept_then_hang": Raw([Hang()]),
    "hang_after_first_chunk": Raw([*_START, Hang()]),
    "reset_before_head": Raw([Reset()]),
    "reset_in_a_chunk": Raw([*_START, Send(b"40\r\ndata: {"), Reset()]),
    "close_in_mid_stream": Raw([*_START, Close()]),
    "truncated_json": Raw([Send(head(200, JSON, length=len(_TEXT_BODY)) + _TEXT_BODY[:-20]), Close()]),
    "cut_json_with_true_length": Raw([Send(head(200, JSON, length=len(_TEXT_BODY) - 20) + _TEXT_BODY[:-20])]),
    "truncated_json_in_an_event": sse(event(delta("Hel")), b'data: {"choices": [{"ind\n\n'),
    "sse_without_blank_line": sse(b"data: " + json.dumps(delta("Hel", "stop")).encode() + b"\n"),
    "no_finish_reason": sse(event(delta("Hel")), event("[DONE]")),
    "no_done": sse(_WHOLE),
    "odd_but_legal_sse": sse(*(_ODD[i : i + 1] for i in range(len(_ODD)))),
    "error_in_mid_stream": sse(event(delta("Hel")), event({"error": {"message": "engine died", "code": 500}})),
    "200_with_an_error_body": Problem(200, "out of luck"),
    "200_with_an_error_in_the_stream": sse(event({"error": {"message": "out of luck", "code": 503}})),
    "html_502": Problem(502, headers={"content-type": "text/html"}, body=b"<html><h1>Bad gateway</h1></html>"),
    "html_200": Problem(200, headers={"content-type": "text/html"}, body=b"<html>Sign in</html>"),
    "redirect": Problem(307, headers={"location": "http://169.254.169.254/latest/meta-data"}),
    "gzip_sse": Raw(
        [
            Send(head(200, {**SSE, "content-encoding": "gzip"})),
            Send(chunk(gzip.compress(_WHOLE + event("[DONE]")))),
            Send(chunk(b"")),
        ]
    ),
    "gzip_bomb": Raw(
        [
            Send(head(200, {**JSON, "content-encoding": "gzip"})),
            Send(chunk(gzip.compress(b'{"choices": [' + b" " * 80_000_000))),
            Send(chunk(b"")),
        ]
    ),
    "wrong_model": Say(model="somebody-else"),
    "429_retry_after_huge": Problem(429, "slow down", headers={"retry-after": "1000000000"}),
    "503_retry_after_3": Problem(503, "queue is full", headers={"retry-after": "3"}),
    "negative_usage": Say(usage="negative"),
    "absurd_usage": Say(usage="absurd"),
    "two_usage_chunks": Say(usage="twice"),
    "no_usage": Say(usage="none"),
    "secrets_in_the_error": Problem(
        500, 'File "/srv/app/x.py", line 3: http://10.0.0.7:8000/v1?key=sk-abcdef123456 failed'
    ),
}


def endless(line: bytes = b"x" * 65536, *, times: int = 4096) -> Raw:
    """Return a stream whose first event never ends (256 MB unless told otherwise)."""
    return Raw([Send(head(200, SSE)), Send(chunk(b"data: ")), *[Send(chunk(line))] * times])


def huge_body(times: int = 4096) -> Raw:
    """Return a JSON body without length and without end (256 MB unless told otherwise)."""
    return Raw([Send(head(200, JSON)), Send(chunk(b'{"choices": [')), *[Send(chunk(b" " * 65536))] * times])
