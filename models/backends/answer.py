"""Reads one answer from an open response: batches of a stream, or a bounded body. Decides nothing about endpoints."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from headrace.contracts.chat import ChatCall, Chunk
from headrace.contracts.errors import BackendProtocol, BackendTimeout, BackendUnavailable, DeadlineExceeded
from headrace.models.backends.decode import decode_chunk
from headrace.models.backends.inflate import Inflater
from headrace.models.backends.sse import SseParser
from headrace.models.backends.usage import Tally
from headrace.models.backends.watchdog import Timeouts, Watchdog
from headrace.models.backends.wire import Lost, Malformed, Response

MAX_EVENT_BYTES = 4 * 2**20
_TAIL_S = 1.0


class Answer:
    """One answer on the wire: `start` it, then read. `close` ends the connection unless it was read to its end.

    backend: the id that errors name. deadline: loop-clock seconds. first_byte_s counts from `since`.
    """

    __slots__ = ("_backend", "_between_s", "_first_byte_s", "_inflater", "_is_closed", "_response", "_watchdog")

    def __init__(
        self,
        response: Response,
        *,
        backend: str,
        timeouts: Timeouts,
        first_byte_s: float,
        since: float,
        deadline: float,
    ) -> None:
        self._response = response
        self._backend = backend
        self._between_s = timeouts.between_s
        self._first_byte_s = first_byte_s
        self._watchdog = Watchdog(response.abort, deadline=deadline, since=since, first_byte_s=first_byte_s)
        self._inflater: Inflater | None = None
        self._is_closed = False

    async def start(self, request: bytes) -> None:
        """Send the request and return once status and headers are known."""
        try:
            await self._response.start(request)
        except OSError as exc:
            self._raise_lost(exc)
        encoding = self._response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            self._inflater = Inflater(encoding, MAX_EVENT_BYTES)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in lower case."""
        return self._response.headers

    def close(self) -> None:
        """Let the connection go; an answer that was not read to its end is aborted."""
        if not self._is_closed:
            self._is_closed = True
            self._watchdog.stop()
            self._response.close()

    async def body(self, max_bytes: int) -> bytes:
        """Return the whole body, BackendProtocol over `max_bytes`."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > max_bytes:
                raise BackendProtocol(f"backend {self._backend!r}: the answer is over {max_bytes} bytes")
            parts.append(data)
        return b"".join(parts)

    async def read(self) -> bytes:
        """Return what has arrived, b"" at the end; every way to lose the connection becomes an error of ours."""
        while True:
            self._watchdog.wait()
            try:
                data = await self._response.read()
            except OSError as exc:
                self._raise_lost(exc)
            if not data:
                self._raise_expired()
                return data
            self._watchdog.rest(self._between_s)
            if self._inflater is None or (data := self._inflater.feed(data)):
                return data

    async def finish(self) -> None:
        """Read what follows the last event, so that the connection can be used again; never for long."""
        if self._response.is_read:
            return
        try:
            async with asyncio.timeout(_TAIL_S):
                while await self._response.read():
                    pass
        except (TimeoutError, Lost, Malformed):
            return

    def _raise_lost(self, exc: OSError) -> NoReturn:
        self._raise_expired()
        if isinstance(exc, Malformed):
            raise BackendProtocol(f"backend {self._backend!r}: {exc}") from exc
        raise BackendUnavailable(f"backend {self._backend!r}: the connection was lost") from exc

    def _raise_expired(self) -> None:
        match self._watchdog.expiry:
            case "deadline":
                raise DeadlineExceeded(f"backend {self._backend!r}: the deadline passed before the answer ended")
            case "first_byte":
                raise BackendTimeout(f"backend {self._backend!r}: no token in {self._first_byte_s:g} s")
            case "between":
                raise BackendTimeout(f"backend {self._backend!r}: no next token in {self._between_s:g} s")


class AnswerStream:
    """The events of a streamed answer as chunks; `next` is the hot path. One reader."""

    __slots__ = ("_answer", "_backend", "_endpoint", "_is_over", "_last", "_parser", "_tally")

    def __init__(self, answer: Answer, chat: ChatCall, *, backend: str, context_tokens: int) -> None:
        self._answer = answer
        self._backend = backend
        self._endpoint = chat.endpoint
        self._parser = SseParser(MAX_EVENT_BYTES)
        self._tally = Tally(chat, context_tokens)
        self._last = Chunk()
        self._is_over = False

    async def next(self) -> list[Chunk]:
        """Return the chunks of the next read that brought any, [] once the answer is over."""
        while not self._is_over:
            data = await self._answer.read()
            batch: list[Chunk] = []
            if data:
                payloads = self._parser.feed(data)
            else:
                leftover = self._parser.flush()
                payloads = [] if leftover is None else [leftover]
                self._is_over = True
            for payload in payloads:
                if payload.startswith(b"[DONE]"):
                    self._is_over = True
                    break
                self._last = chunk = decode_chunk(payload, self._endpoint, self._backend)
                if self._tally.add(chunk):
                    batch.append(chunk)
            if self._is_over:
                batch.append(self._usage_chunk())
            if batch:
                return batch
        await self._answer.finish()
        return []

    def _usage_chunk(self) -> Chunk:
        if not self._tally.is_whole:
            raise BackendProtocol(f"backend {self._backend!r}: the stream was cut short, with no finish reason")
        last = self._last
        return Chunk([], self._tally.final(), last.id, last.created, last.model)
