"""The least HTTP/1.1 client that upstream calls need: pooled keep-alive connections on httptools, TLS by ssl.

Posts bodies and hands over answers as their bytes arrive. Follows no redirect, keeps no cookie, reads no proxy
variables, inflates nothing and sets no time bound but the one for connecting: whoever reads an answer bounds it.
Why not a general client: docs/decisions/0003.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Self, cast
from urllib.parse import urlsplit

import httptools

MAX_HEAD_BYTES: Final = 64 * 2**10
HELD_BYTES: Final = 2**18
# Idle connections end before the 5 s after which uvicorn (vLLM) ends them: no race on a dead one.
IDLE_S: Final = 4.0
_FIRST_FINAL_STATUS: Final = 200
_WITHOUT_BODY: Final = frozenset({204, 304})


class NoConnection(OSError):
    """No connection could be made: refused, unreachable, no such name, or not in time."""


class Lost(OSError):
    """The connection ended before the answer's head, or was reset."""


class Malformed(OSError):
    """The answer is no HTTP, or was cut short."""


class Target:
    """Where and how one URL is posted to: the connection's address and the fixed part of the request head."""

    __slots__ = ("_head", "address")

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """`url` is absolute; ValueError when it is none or a header holds control characters."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None or url.split() != [url]:
            raise ValueError(f"{url!r} is no http or https URL")
        is_tls = parts.scheme == "https"
        self.address = (parts.hostname, parts.port or (443 if is_tls else 80), is_tls)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any(not line.isprintable() for line in lines):
            raise ValueError("a header or URL of an endpoint holds control characters")
        self._head = "\r\n".join(lines).encode("utf-8") + b"\r\n"

    def request(self, body: bytes, request_id: str) -> bytes:
        """Return the whole request; `request_id` is ours and plain ASCII."""
        return b"%bX-Request-Id: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head,
            request_id.encode("ascii"),
            len(body),
            body,
        )


class Response(asyncio.Protocol):
    """A connection and the answer that is on it. One reader. status and headers hold once `start` returned."""

    status: int
    headers: dict[str, str]
    is_complete: bool
    _parts: list[bytes]
    _held_bytes: int
    _head_bytes: int
    _has_head: bool
    _is_reusable: bool
    _ends_with_connection: bool
    _is_broken: bool

    def __init__(self, idle: deque["Response"], clock: Callable[[], float]) -> None:
        self._idle = idle
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", None)
        self._waiter: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._is_lost = self._is_reset = False
        self._idle_since = 0.0
        self.was_used = False
        self._begin()

    async def start(self, request: bytes) -> None:
        """Send a request and return once status and headers are there; Lost or Malformed."""
        self._begin()
        self._transport.write(request)
        while not self._has_head:
            await self._more()

    async def read(self) -> bytes:
        """Return what has arrived since the last call, b"" at the end of the answer; Lost or Malformed."""
        while not self._parts:
            if self.is_complete:
                return b""
            await self._more()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._held_bytes > HELD_BYTES and not self._is_lost:
            self._transport.resume_reading()
        self._held_bytes = 0
        return data

    @property
    def is_read(self) -> bool:
        """True once nothing of the answer is left to read."""
        return self.is_complete and not self._parts

    def abort(self) -> None:
        """End the connection, which stops the sender and wakes the reader."""
        self._transport.abort()

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else end it. Once for each `start`."""
        if self._is_lost or not (self.is_read and self._is_reusable):
            self._transport.abort()
        elif self._expiry is None:
            self._expiry = self._loop.call_later(IDLE_S, self._transport.abort)
            self._idle_since = self._clock()
            self._idle.append(self)

    def take(self) -> bool:
        """Take it out of idleness; False when it has ended meanwhile.

        The clock is asked too: after something held the loop up, neither our timer nor the peer's goodbye has run yet.
        """
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self.was_used = True
        if self._clock() - self._idle_since > IDLE_S:
            self._transport.abort()
        return not (self._is_lost or self._transport.is_closing())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader. An answer without a length ends with its connection; any other was cut."""
        self._is_lost, self._is_reset = True, exc is not None
        if self._has_head and self._ends_with_connection:
            self.is_complete = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that are no HTTP, or that nobody asked for, end the connection."""
        if self.is_complete:
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_broken = True
            self._transport.abort()
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._is_broken = True
                self._transport.abort()
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, lower-case."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note status and framing; an interim answer (1xx) is read over."""
        self.status = self._parser.get_status_code()
        if self.status < _FIRST_FINAL_STATUS:
            self.headers.clear()
            return
        self._has_head = True
        self._is_reusable = self._parser.should_keep_alive()
        is_framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        self._ends_with_connection = not is_framed and self.status not in _WITHOUT_BODY

    def on_body(self, body: bytes) -> None:
        """Hold a piece; stop reading while the reader is far behind."""
        self._parts.append(body)
        before, self._held_bytes = self._held_bytes, self._held_bytes + len(body)
        if before <= HELD_BYTES < self._held_bytes:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._has_head:
            self.is_complete = True

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers = {}
        self.is_complete = False
        self._parts = []
        self._held_bytes = self._head_bytes = 0
        self._has_head = self._is_reusable = self._ends_with_connection = self._is_broken = False

    async def _more(self) -> None:
        if self._is_broken:
            raise Malformed("the answer is no HTTP")
        if self._is_lost and self._has_head and not self._is_reset:
            raise Malformed("the answer was cut short")
        if self._is_lost:
            raise Lost("the connection was lost")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """Connections to every endpoint, shared by all backends of one event loop. Close it at the end.

    clock: seconds; not the loop's, whose time stands still while something holds it up.
    """

    def __init__(self, *, connect_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connect_s = connect_s
        self._idle: dict[tuple[str, int, bool], deque[Response]] = {}
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def idle(self, target: Target) -> Response | None:
        """Return an idle connection to `start` a request on, None where there is none. Always close it.

        It was used before, so it may turn out to be dead: ask for a fresh one then.
        """
        idle = self._idle.get(target.address)
        while idle:
            response = idle.pop()
            if response.take():
                return response
        return None

    def close(self) -> None:
        """End every idle connection."""
        for idle in self._idle.values():
            while idle:
                response = idle.pop()
                response.take()
                response.abort()
        self._idle.clear()

    async def connect(self, target: Target, *, within_s: float) -> Response:
        """Return a fresh connection to `start` a request on, NoConnection where none can be made. Always close it."""
        within_s = min(within_s, self._connect_s)
        idle = self._idle.setdefault(target.address, deque())
        host, port, is_tls = target.address
        if is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            async with asyncio.timeout(within_s):
                _, response = await asyncio.get_running_loop().create_connection(
                    lambda: Response(idle, self._clock), host, port, ssl=self._tls if is_tls else None
                )
        except TimeoutError as exc:
            raise NoConnection(f"no connection in {within_s:g} s") from exc
        except OSError as exc:
            raise NoConnection("the connection was refused") from exc
        return response
