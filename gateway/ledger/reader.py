"""Read the ledger back: whole records only; a line torn by a crash is passed over."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from headrace.gateway.ledger.files import newest_first
from headrace.gateway.ledger.record import decode

SEARCH_BYTES: Final = 64_000_000
_CHUNK: Final = 1 << 20


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every record of the folder, the oldest file first."""
    for path in reversed(list(newest_first(folder))):
        with path.open("rb") as lines:
            for line in lines:
                record = decode(line)
                if record is not None:
                    yield record


def find(folder: Path, decision_id: str, tenant: str, *, search_bytes: int = SEARCH_BYTES) -> dict[str, Any] | None:
    """Return the record of one decision of one tenant from the newest `search_bytes` of the ledger, else None.

    Reads whole files' tails and is slow: call it on a thread.
    """
    needle = decision_id.encode()
    left = search_bytes
    for path in newest_first(folder):
        if left <= 0:
            return None
        try:
            lines, size = _tail(path, left)
        except FileNotFoundError:
            continue
        left -= size
        for line in lines:
            if needle not in line:
                continue
            record = decode(line)
            if record is not None and record["decision"] == decision_id and record.get("tenant") == tenant:
                return record
    return None


def _tail(path: Path, limit: int) -> tuple[Iterator[bytes], int]:
    size = path.stat().st_size
    return _lines(path, max(0, size - limit)), size


def _lines(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb", buffering=_CHUNK) as file:
        file.seek(start, os.SEEK_SET)
        yield from file
