"""Server-sent events from bytes, incrementally and bounded. Knows nothing of what the events mean.

Follows the WHATWG event-stream rules for line ends (LF, CRLF, CR), comments, multi-line data and a leading BOM; event
names, ids and retry hints are read over, since no OpenAI-compatible stream gives them meaning.
"""

from headrace.contracts.errors import BackendProtocol

_BOM = b"\xef\xbb\xbf"


class SseParser:
    """Turns reads of any size into the data of whole events. One per stream; not safe to share.

    max_event_bytes bounds what is kept while an event has not ended.
    """

    __slots__ = ("_after_cr", "_begun", "_held", "_max_event_bytes")

    def __init__(self, max_event_bytes: int = 4 * 2**20) -> None:
        self._held = bytearray()
        self._after_cr = False
        self._begun = False
        self._max_event_bytes = max_event_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of every event that ended in this read, in order; BackendProtocol over the bound."""
        if self._after_cr or b"\r" in data:
            data = self._with_lf_only(data)
        if self._begun and not self._held and data.startswith(b"data: ") and data.endswith(b"\n\n"):
            payload = data[6:-2]
            if b"\n" not in payload:  # one read brought one event: the usual case
                return [payload]
        whole = self._whole_blocks(data)
        return [found for block in whole.split(b"\n\n") if (found := _data_of(block)) is not None]

    def _whole_blocks(self, data: bytes) -> bytes:
        """Return what has ended with a blank line and hold the rest."""
        held = self._held
        seen = max(len(held) - 1, 0)
        held += data
        if not self._begun:
            if len(held) < len(_BOM) and _BOM.startswith(held):
                return b""
            self._begun = True
            if held.startswith(_BOM):
                del held[: len(_BOM)]
            seen = 0
        end = held.rfind(b"\n\n", seen)
        whole = bytes(held[:end]) if end >= 0 else b""
        if end >= 0:
            del held[: end + 2]
        if len(held) > self._max_event_bytes:
            raise BackendProtocol(f"one event of the stream is over {self._max_event_bytes} bytes")
        return whole

    def flush(self) -> bytes | None:
        """Return the data of a last event that no blank line ended, None if there is none."""
        payload = _data_of(bytes(self._held))
        self._held.clear()
        return payload

    def _with_lf_only(self, data: bytes) -> bytes:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [_value(line) for line in block.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(lines) if lines else None


def _value(line: bytes) -> bytes:
    value = line[5:]
    return value[1:] if value.startswith(b" ") else value
