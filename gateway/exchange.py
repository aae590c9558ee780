"""One HTTP request and its answer on a bare ASGI connection: headers, bounded body, one start, writes, and leaving.

Knows nothing of chats or errors of ours beyond the limits it keeps.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from headrace.contracts.errors import HeadraceError, InvalidRequest, PayloadTooLarge
from headrace.contracts.principal import ANONYMOUS, Principal
from headrace.gateway.streaming import PING, PING_EVERY_S

Scope = dict[str, Any]
Message = dict[str, Any]
Headers = Iterable[tuple[bytes, bytes]]

BODY_TIMEOUT_S: Final = 60.0
DISCARD_S: Final = 5.0
SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})

LEAVING: Final = "headrace.leaving"  # an ASGI extension of our own server
_JSON: Final = (b"content-type", b"application/json")


class ClientLeft(Exception):
    """The client closed its connection before it had its answer."""


class Leaving:
    """Tells that a connection has ended, by a call instead of a task that waits for it.

    A server that has one puts it into the scope's extensions under LEAVING. One for each connection: of its requests
    at most one is being answered.
    """

    __slots__ = ("_listener", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Call `listener` when the connection ends, at once if it has; None takes it back."""
        self._listener = listener
        if listener is not None and self.has_left:
            listener()

    def leave(self) -> None:
        """Say that the connection has ended."""
        self.has_left = True
        if self._listener is not None:
            self._listener()


class RequestTimeout(HeadraceError):
    """The client took too long to send its request."""

    status = 408
    type = "invalid_request_error"


class Exchange:
    """A request and its answer. Used by one task; only `ping` may come from the watcher beside it.

    answered: an answer has begun. finished: it has ended. recorded: the ledger has it.
    """

    def __init__(self, scope: Scope, receive: Any, send: Any, *, id_hex: str, clock: Callable[[], float]) -> None:  # noqa: ANN401  (ASGI callables)
        self.scope = scope
        self.receive = receive
        self.id_hex = id_hex
        self.principal: Principal = ANONYMOUS
        self.started = clock()
        self.answered = False
        self.finished = False
        self.recorded = False
        self._send = send
        self._clock = clock
        self._last_write = 0.0
        self._streams = False

    @property
    def request_id(self) -> str:
        """The id that every answer carries."""
        return f"req_{self.id_hex}"

    @property
    def streams(self) -> bool:
        """True once an event stream has begun: an error must now be an event."""
        return self._streams

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    def headers(self) -> dict[str, str]:
        """Return the headers a rule may ask for: lower-case names, never those that hold secrets."""
        plain = {key.decode("latin-1"): value.decode("latin-1") for key, value in self.scope["headers"]}
        for name in SECRET_HEADERS:
            plain.pop(name, None)
        return plain

    async def body(self, limit: int) -> bytes:
        """Return the JSON body; refuses other content, compression, and more than `limit` bytes while it arrives."""
        self._check_content()
        length = self.header(b"content-length")
        if length is not None and int(length) > limit:
            raise too_large(limit)
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return self._within(message["body"], limit)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._collect(message, limit)
        except TimeoutError as exc:
            raise RequestTimeout(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from exc

    async def respond(self, status: int, body: bytes, headers: Headers = (), *, close: bool = False) -> None:
        """Send a whole answer. With `close`, what still comes is discarded for a while, then the line ends."""
        self.answered = True
        length = (b"content-length", str(len(body)).encode())
        lines = [_JSON, length, *self._own_headers(), *headers]
        if close:
            lines.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        await self._send({"type": "http.response.body", "body": body, "more_body": close})
        if close:
            await self._discard()
            await self._send({"type": "http.response.body", "body": b""})
        self.finished = True

    async def relay(self, headers: Headers, pieces: AsyncIterator[bytes]) -> None:
        """Send a whole answer of another kind, piece by piece; where it breaks off, so does the connection."""
        self.answered = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [*headers, *self._own_headers()]})
        async for piece in pieces:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self.end()

    async def start_stream(self, headers: Headers) -> None:
        """Send the status line and headers of an event stream."""
        self.answered = self._streams = True
        lines = [*headers, *self._own_headers()]
        self._last_write = self._clock()
        await self._send({"type": "http.response.start", "status": 200, "headers": lines})

    async def write(self, events: bytes) -> None:
        """Send whole events in one piece."""
        if events:
            self._last_write = self._clock()
            await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end(self, events: bytes = b"") -> None:
        """Send the last events and end the answer."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": events})

    async def ping(self) -> None:
        """Send a comment if the stream has begun and nothing was written for a while."""
        if self._streams and not self.finished and self._clock() - self._last_write >= PING_EVERY_S:
            await self.write(PING)

    def tagging_send(self) -> Callable[[Message], Awaitable[None]]:
        """Return a `send` for applications that answer by themselves; their answers carry our headers too."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered = True
                message = {**message, "headers": [*message.get("headers", ()), *self._own_headers()]}
            elif not message.get("more_body"):
                self.finished = True
            await self._send(message)

        return send

    def leaving(self, *, is_stream: bool = False) -> "LeaveWatch":
        """Cancel the task inside the `async with` when the client closes its connection; raises ClientLeft.

        is_stream: send pings too, while a begun stream is silent.
        """
        return LeaveWatch(self, is_stream=is_stream)

    def _own_headers(self) -> Headers:
        took_ms = int((self._clock() - self.started) * 1000)
        return ((b"x-request-id", self.request_id.encode()), (b"openai-processing-ms", str(took_ms).encode()))

    def _check_content(self) -> None:
        kind = (self.header(b"content-type") or b"").split(b";", 1)[0].strip().lower()
        if kind != b"application/json":
            raise InvalidRequest(
                "the body must be JSON: send 'content-type: application/json'", code="invalid_content_type"
            )
        self.check_coding()

    def check_coding(self) -> None:
        """Refuse a compressed body."""
        coding = (self.header(b"content-encoding") or b"identity").strip().lower()
        if coding != b"identity":
            raise UnsupportedCoding("compressed bodies are not taken: send the body without 'content-encoding'")

    def _within(self, body: bytes, limit: int) -> bytes:
        if len(body) > limit:
            raise too_large(limit)
        return body

    async def _collect(self, message: Message, limit: int) -> bytes:
        pieces = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientLeft
            pieces += message["body"]
            if len(pieces) > limit:
                raise too_large(limit)
            if not message.get("more_body"):
                return bytes(pieces)
            message = await self.receive()

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(DISCARD_S):
                while (await self.receive()).get("more_body"):
                    pass
        except TimeoutError:
            return


class UnsupportedCoding(InvalidRequest):
    """The body is compressed."""

    status = 415


class LeaveWatch:
    """Async context manager: cancels the body of its `async with` when the client leaves.

    It is told by the connection, or else by a task that awaits the leaving; a stream has the task for its pings.
    """

    def __init__(self, exchange: Exchange, *, is_stream: bool) -> None:
        self._exchange = exchange
        self._connection: Leaving | None = None
        if not is_stream and (extensions := exchange.scope.get("extensions")) is not None:
            self._connection = extensions.get(LEAVING)
        self._watcher: asyncio.Task[None] | None = None
        self._left = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a LeaveWatch needs a running task")
        self._task = task
        if self._connection is not None:
            self._connection.listen(self._leave)
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.listen(None)
        if self._watcher is not None:
            self._watcher.cancel()
        if self._left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientLeft from exc

    async def _watch(self) -> None:
        while not self._exchange.finished:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    message = await self._exchange.receive()
            except TimeoutError:
                await self._exchange.ping()
                continue
            if message["type"] == "http.disconnect":
                break
        self._leave()

    def _leave(self) -> None:
        if not self._exchange.finished:
            self._left = True
            self._task.cancel()


def too_large(limit: int) -> PayloadTooLarge:
    """Return the error for a body over `limit` bytes."""
    return PayloadTooLarge(f"the body is larger than {limit} bytes", code="request_too_large")
