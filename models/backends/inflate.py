"""Bodies of endpoints that compress although nobody asked: inflated piece by piece, within the caller's bound."""

import zlib

from headrace.contracts.errors import BackendProtocol


class Inflater:
    """Undoes gzip or deflate. One per body; not safe to share. max_bytes bounds what one piece may become."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise BackendProtocol(f"the answer came encoded as {encoding[:40]!r} although identity was asked for")
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> bytes:
        """Return what the piece holds; BackendProtocol for damage or a bomb."""
        try:
            out = self._stream.decompress(data, self._max_bytes)
        except zlib.error as exc:
            raise BackendProtocol("the answer's compression is damaged") from exc
        if self._stream.unconsumed_tail:
            raise BackendProtocol(f"one piece of the answer inflates to more than {self._max_bytes} bytes")
        return out
