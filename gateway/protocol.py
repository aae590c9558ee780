"""uvicorn's HTTP protocol with bounds on what precedes a request: bytes, number and time of the header block."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.gateway.exchange import LEAVING, Leaving

MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 256
HEAD_TIMEOUT_S: Final = 15.0

_TOO_LARGE: Final = (
    b'{"error":{"message":"the request\'s headers are too large","type":"invalid_request_error",'
    b'"param":null,"code":"headers_too_large"}}'
)
_ANSWER: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A client that trickles or floods its headers is cut off before a request exists."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (uvicorn's own signature)
        super().__init__(*args, **kwargs)
        self._leaving = Leaving()
        self._extensions: dict[str, Any] = {LEAVING: self._leaving}
        self._head_bytes = 0  # read while the block is open
        self._in_head = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock; tell the request that is being answered."""
        self._stop_timer()
        super().connection_lost(exc)
        self._leaving.leave()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a header block that goes on and on over many reads is cut off."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head:
            self._start_timer()
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        """Begin to count a header block."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """The block is whole: the request begins, unless the block is too large (one read is measured only here)."""
        self._in_head = False
        self._stop_timer()
        size = sum([len(name) + len(value) for name, value in self.headers])
        if len(self.headers) > MAX_HEADERS or size > MAX_HEAD_BYTES:
            self._refuse()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._cut)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_ANSWER)
            self.transport.close()
