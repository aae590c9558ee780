"""The ledger as the pipeline sees it: record a request without waiting, find a decision again."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from headrace.contracts.feedback import Feedback
from headrace.gateway.ledger import reader
from headrace.gateway.ledger.feedback import encode_feedback
from headrace.gateway.ledger.files import RotatingFiles
from headrace.gateway.ledger.record import Record, decode, encode
from headrace.gateway.ledger.shadow import ShadowRecord, encode_shadow
from headrace.gateway.ledger.writer import LineWriter
from headrace.gateway.settings.tree import LedgerSettings

RECENT_BYTES: Final = 8_000_000
RECENT_RECORDS: Final = 4_096


class Recent:
    """The newest records by decision id, bounded by number and bytes. For one event loop."""

    def __init__(self, max_records: int = RECENT_RECORDS, max_bytes: int = RECENT_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lines: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def put(self, decision_id: str, tenant: str, line: bytes) -> None:
        """Keep a record's line; the oldest leave when there are too many."""
        _, replaced = self._lines.pop(decision_id, ("", b""))
        self._bytes -= len(replaced)
        self._lines[decision_id] = (tenant, line)
        self._bytes += len(line)
        while self._lines and (len(self._lines) > self._max_records or self._bytes > self._max_bytes):
            _, (_, old) = self._lines.popitem(last=False)
            self._bytes -= len(old)

    def get(self, decision_id: str, tenant: str) -> bytes | None:
        """Return the line if this tenant owns it."""
        owner, line = self._lines.get(decision_id, ("", b""))
        return line if line and owner == tenant else None


class Ledger:
    """Writes one line per request off the loop and keeps the newest at hand. For one event loop.

    Loss window: a killed process loses at most `flush_s` of records, a machine that loses power what the operating
    system had not written back (nothing older than one flush with `fsync`). on_drop is told of every lost record.
    """

    def __init__(
        self, settings: LedgerSettings, *, on_drop: Callable[[int], None], now: Callable[[], float] = time.time
    ) -> None:
        self._folder = settings.folder
        self._recent = Recent()
        files = RotatingFiles(
            settings.folder,
            rotate_bytes=settings.rotate_bytes,
            keep_files=settings.keep_files,
            fsync=settings.fsync,
            now=now,
        )
        self._writer = LineWriter(
            files, flush_s=settings.flush_s, capacity=settings.queue_records, on_loss=on_drop, name="ledger"
        )

    def start(self) -> None:
        """Start the writer's thread."""
        self._writer.start()

    def record(self, record: Record) -> bytes:
        """Queue a record and return its line. Never waits: about 10 microseconds."""
        line = encode(record)
        self._recent.put(record.decision, record.tenant, line)
        self._writer.write(line)
        return line

    def keep(self, feedback: Feedback) -> None:
        """Queue what somebody said of an answer. Never waits."""
        self._writer.write(encode_feedback(feedback))

    def keep_shadow(self, record: ShadowRecord) -> None:
        """Queue what a shadow answered. Never waits."""
        self._writer.write(encode_shadow(record))

    async def find(self, decision_id: str, tenant: str) -> dict[str, Any] | None:
        """Return a decision's record if this tenant owns it: from memory, else from the newest files."""
        line = self._recent.get(decision_id, tenant)
        if line is not None:
            return decode(line)
        return await asyncio.to_thread(reader.find, self._folder, decision_id, tenant)

    def close(self) -> None:
        """Write what is queued; blocks for at most 5 seconds."""
        self._writer.close()
