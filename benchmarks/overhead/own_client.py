"""The least an HTTP/1.1 client can be: a pool of asyncio protocols on httptools, no TLS, no redirects, no timeouts.

Stands in the comparison of upstream clients as the price of the alternative "write our own".
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httptools


class _Connection(asyncio.Protocol):
    """One keep-alive connection; `read` hands over what came since the last call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self.is_complete = True
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's signature)
        self.is_open = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self._wake()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = True

    def send(self, request: bytes) -> None:
        self.is_complete = False
        if self._transport is not None:
            self._transport.write(request)

    def status(self) -> int:
        return int(self._parser.get_status_code())

    async def read(self) -> bytes:
        """Return the next bytes of the body; ConnectionError when the peer left before the end."""
        while not self._parts and not self.is_complete:
            if not self.is_open:
                raise ConnectionError("upstream closed the connection before the answer's end")
            self._waiter = self._loop.create_future()
            await self._waiter
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class OwnClient:
    """Posts to one origin. Safe to share between tasks of one loop."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes) -> bytes:
        """Return the whole answer."""
        async with aclosing(self.stream(path, body)) as parts:
            return b"".join([part async for part in parts])

    async def stream(self, path: str, body: bytes) -> AsyncGenerator[bytes]:
        """Yield the answer's bytes as they come; closing early closes the connection."""
        connection = self._idle.pop() if self._idle else await self._connect()
        connection.send(
            b"POST %s HTTP/1.1\r\nhost: %s:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (path.encode(), self._host.encode(), self._port, len(body), body)
        )
        try:
            while not connection.is_complete:
                data = await connection.read()
                if data:
                    yield data
        finally:
            if connection.is_complete and connection.is_open:
                self._idle.append(connection)
            else:
                connection.close()

    async def close(self) -> None:
        """Close idle connections."""
        for connection in self._idle:
            connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection
