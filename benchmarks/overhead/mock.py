"""An instant OpenAI-compatible upstream: a fixed reply of about 1 KB, or a stream of equal chunks.

One uvloop protocol, no framework, so that what is measured is the gateway. It knows POST /v1/chat/completions,
GET /v1/models and GET /health; everything else is 404. Log-probabilities come when the request asks for them, as an
engine does it. Not a test double: it injects no faults and checks nothing.
"""

import argparse
import asyncio
import signal
from dataclasses import dataclass
from typing import Any, cast

import httptools
import msgspec
import uvloop

ANSWER_TOKENS = 48
STREAM_CHUNKS = 50
_WORD = " token"
_LOGPROB = {"token": _WORD, "logprob": -0.01, "bytes": list(_WORD.encode()), "top_logprobs": []}
_USAGE = {"prompt_tokens": 40, "completion_tokens": ANSWER_TOKENS, "total_tokens": 40 + ANSWER_TOKENS}
_HEAD = {"id": "chatcmpl-0123456789abcdef0123456789abcdef", "created": 1790000000, "model": "mock"}


class Ask(msgspec.Struct):
    """The only request fields that change the reply."""

    stream: bool = False
    logprobs: bool = False
    stream_options: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """When the chunks of a stream leave: the first after ttft_s, the others gap_s apart."""

    ttft_s: float
    gap_s: float
    chunks: int = STREAM_CHUNKS


def whole_reply(*, logprobs: bool) -> bytes:
    """Return the JSON body of a non-streamed answer, close to 1 KB without log-probabilities."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": (_WORD * ANSWER_TOKENS).strip() + "." * 420},
        "finish_reason": "stop",
    }
    if logprobs:
        choice["logprobs"] = {"content": [_LOGPROB] * ANSWER_TOKENS}
    return msgspec.json.encode({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def stream_events(chunks: int, *, logprobs: bool, usage: bool) -> list[bytes]:
    """Return the SSE events of a streamed answer: role, `chunks` deltas, the finish, usage if asked, [DONE]."""

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:  # noqa: ANN401  (JSON values)
        body = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + msgspec.json.encode(body) + b"\n\n"

    delta: dict[str, Any] = {"index": 0, "delta": {"content": _WORD}, "finish_reason": None}
    if logprobs:
        delta["logprobs"] = {"content": [_LOGPROB]}
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [event([first]) + event([delta]), *[event([delta])] * (chunks - 1)]
    tail = event([last])
    if usage:
        tail += event([], usage=_USAGE)
    return [*events, tail + b"data: [DONE]\n\n"]


def _response(body: bytes, status: bytes = b"200 OK", content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (status, content_type, len(body), body)


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Replies:
    """Every reply as ready bytes, made once."""

    def __init__(self, chunks: int) -> None:
        self.whole = {wanted: _response(whole_reply(logprobs=wanted)) for wanted in (False, True)}
        self.streams = {
            (logprobs, usage): [_chunked(e) for e in stream_events(chunks, logprobs=logprobs, usage=usage)]
            for logprobs in (False, True)
            for usage in (False, True)
        }
        self.stream_head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.models = _response(b'{"object":"list","data":[{"id":"mock","object":"model","created":0,"owned_by":"m"}]}')
        self.health = _response(b"{}")
        self.missing = _response(b'{"error":{"message":"no such route"}}', b"404 Not Found")


class MockProtocol(asyncio.Protocol):
    """One keep-alive connection; one request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, replies: Replies, pace: Pace) -> None:
        self._replies = replies
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._decode = msgspec.json.Decoder(Ask).decode
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's signature)
        """Stop a stream nobody reads."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a request that is not HTTP closes the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Note the path of a new request."""
        self._url = url
        self._body = []

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self._url != b"/v1/chat/completions":
            known = {b"/v1/models": self._replies.models, b"/health": self._replies.health}
            self._write(known.get(self._url, self._replies.missing))
            return
        ask = self._decode(b"".join(self._body))
        if not ask.stream:
            self._write(self._replies.whole[ask.logprobs])
            return
        usage = bool((ask.stream_options or {}).get("include_usage"))
        self._write(self._replies.stream_head)
        events = self._replies.streams[ask.logprobs, usage]
        self._timer = self._loop.call_later(self._pace.ttft_s, self._send, events, 0)

    def _send(self, events: list[bytes], at: int) -> None:
        last = at == len(events) - 1
        self._write(events[at] + b"0\r\n\r\n" if last else events[at])
        if not last:
            self._timer = self._loop.call_later(self._pace.gap_s, self._send, events, at + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(port: int, pace: Pace) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    replies = Replies(pace.chunks)
    server = await loop.create_server(lambda: MockProtocol(replies, pace), "127.0.0.1", port, backlog=512)
    async with server:
        await stop.wait()


def main() -> None:
    """Run the mock as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttft-ms", type=float, default=10.0)
    parser.add_argument("--gap-ms", type=float, default=5.0)
    parser.add_argument("--chunks", type=int, default=STREAM_CHUNKS)
    args = parser.parse_args()
    uvloop.run(serve(args.port, Pace(args.ttft_ms / 1000, args.gap_ms / 1000, args.chunks)))


if __name__ == "__main__":
    main()
