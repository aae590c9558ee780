"""Load on one gateway: closed loop (n in flight) or open loop (constant arrivals), over keep-alive connections.

In the open loop a request's time runs from the moment it was scheduled, so a stalled gateway cannot hide its queue
(no coordinated omission). Every prompt is unique. Every answer is checked; a failure is counted, never retried.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools

_SPIN_S = 0.0015  # uvloop timers tick in milliseconds: wake early, then spin to the exact moment
_QUESTION = (
    "In one short paragraph and in plain words, tell a curious visitor what the harbour town of lot %d is known for, "
    "which two or three places are worth an afternoon on foot, and what the weather is like there in early spring."
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked and how: `streams` chooses the reply, `in_flight` or `rate` the loop."""

    streams: bool
    in_flight: int = 0
    rate: float = 0.0
    chunks: int = 50

    @property
    def mode(self) -> str:
        """The mode's name in the table."""
        return "stream" if self.streams else "plain"

    @property
    def name(self) -> str:
        """The load's name in the table, such as c10 or open100."""
        return f"open{self.rate:.0f}" if self.rate else f"c{self.in_flight}"


@dataclass(slots=True)
class Tally:
    """What one window saw. Times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    ttfts: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Answers that came whole and right."""
        return len(self.latencies)


def requests(model: str, port: int, *, streams: bool, first: int = 0) -> Iterator[bytes]:
    """Yield ready HTTP requests without end, each with a prompt of its own."""
    flag = b"true" if streams else b"false"
    number = first
    while True:
        number += 1
        body = (
            b'{"model":"%s","messages":[{"role":"user","content":"%s"}],"max_tokens":64,"temperature":0,"stream":%s}'
            % (model.encode(), (_QUESTION % number).encode(), flag)
        )
        yield (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (port, len(body), body)
        )


class LoadConnection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight; calls `done` after each answer."""

    def __init__(self, shape: Shape, tally: Tally, done: Callable[["LoadConnection"], None]) -> None:
        self._shape = shape
        self._tally = tally
        self._done = done
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._since = 0.0
        self._first = 0.0
        self._parts: list[bytes] = []
        self.is_busy = False
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is none by inheritance
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request cut short as a failure."""
        self.is_open = False
        if self.is_busy:
            self.is_busy = False
            self._tally.failures.append(f"connection lost: {exc}")

    def ask(self, request: bytes, since: float) -> None:
        """Send one request whose time runs from `since`."""
        self._since = since
        self._first = 0.0
        self._parts = []
        self.is_busy = True
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        """Close without counting a failure."""
        self.is_busy = False
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Note when the first generated text arrives and keep the bytes for the check."""
        if not self._first and (not self._shape.streams or b" token" in body):
            self._first = perf_counter()
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Check the answer, record it, hand the connection back."""
        now = perf_counter()
        self.is_busy = False
        fault = self._fault(b"".join(self._parts))
        if fault:
            self._tally.failures.append(fault)
        else:
            self._tally.latencies.append(now - self._since)
            self._tally.ttfts.append(self._first - self._since)
        self._done(self)

    def _fault(self, body: bytes) -> str:
        status = self._parser.get_status_code()
        if status != 200:  # noqa: PLR2004  (HTTP OK)
            return f"status {status}: {body[:200]!r}"
        if not self._shape.streams:
            return "" if b'"finish_reason"' in body else f"no answer in {body[:200]!r}"
        seen = body.count(b" token")
        if seen != self._shape.chunks or not body.rstrip().endswith(b"data: [DONE]"):
            return f"stream of {seen} chunks ends with {body[-100:]!r}"
        return ""


class Load:
    """Runs one shape against one port for a while. Not reusable, not shared."""

    def __init__(self, port: int, model: str, shape: Shape, *, first: int = 0) -> None:
        self._port = port
        self._shape = shape
        self._requests = requests(model, port, streams=shape.streams, first=first)
        self._tally = Tally()
        self._free: list[LoadConnection] = []
        self._all: list[LoadConnection] = []
        self._until = 0.0

    async def run(self, seconds: float) -> Tally:
        """Load for `seconds`, wait for what is still in flight, and return what was seen."""
        connections = self._shape.in_flight or 16
        for _ in range(connections):
            self._free.append(await self._connect())
        gc.collect()
        gc.disable()
        start = perf_counter()
        self._until = start + seconds
        try:
            if self._shape.rate:
                await self._arrivals(start, seconds)
            else:
                for connection in self._free:
                    connection.ask(next(self._requests), perf_counter())
            async with asyncio.timeout(seconds + 60):
                await self._drained()
        finally:
            gc.enable()
            self._tally.seconds = perf_counter() - start
            for connection in self._all:
                connection.close()
        return self._tally

    async def _connect(self) -> LoadConnection:
        loop = asyncio.get_running_loop()
        done = self._free.append if self._shape.rate else self._again
        _, connection = await loop.create_connection(
            lambda: LoadConnection(self._shape, self._tally, done), "127.0.0.1", self._port
        )
        self._all.append(connection)
        return connection

    def _again(self, connection: LoadConnection) -> None:
        now = perf_counter()
        if now < self._until and connection.is_open:
            connection.ask(next(self._requests), now)

    async def _arrivals(self, start: float, seconds: float) -> None:
        for number in range(int(seconds * self._shape.rate)):
            due = start + number / self._shape.rate
            await asyncio.sleep(max(0.0, due - perf_counter() - _SPIN_S))
            while perf_counter() < due:  # noqa: ASYNC110  (spinning to the exact moment is the point)
                await asyncio.sleep(0)
            while self._free and not self._free[-1].is_open:
                self._free.pop()
            connection = self._free.pop() if self._free else await self._connect()
            connection.ask(next(self._requests), due)

    async def _drained(self) -> None:
        while any(connection.is_busy for connection in self._all):  # noqa: ASYNC110  (after the measured stretch)
            await asyncio.sleep(0.001)
