"""The ledger's folder: one growing file per process, a new one when it is large, the oldest removed.

Files are named `ledger-<UTC time>-<process>-<number>.jsonl`; a process writes only files of its own, so two gateways
may share a folder. Appends reach the operating system at once; they are forced to the disk when a file is closed, and
with `fsync` at every flush.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PATTERN: Final = "ledger-*.jsonl"
_MODE: Final = 0o600


class RotatingFiles:
    """A Sink of append-only files. For the writer's thread only. `now` gives wall-clock seconds."""

    def __init__(
        self, folder: Path, *, rotate_bytes: int, keep_files: int, fsync: bool, now: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._fsync = fsync
        self._now = now
        self._descriptor: int | None = None
        self._size = 0
        self._number = 0

    def write(self, lines: bytes) -> None:
        """Append whole lines; OSError if the disk does not take them (the file is then left and a new one begun)."""
        if self._descriptor is not None and self._size and self._size + len(lines) > self._rotate_bytes:
            self.close()
        if self._descriptor is None:
            self._descriptor = self._open()
        try:
            self._append(self._descriptor, lines)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Force the current file to the disk and close it."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _append(self, descriptor: int, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            written = os.write(descriptor, view)
            self._size += written
            view = view[written:]
        if self._fsync:
            os.fsync(descriptor)

    def _open(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%dT%H%M%S")
        path = self._folder / f"ledger-{stamp}-{os.getpid()}-{self._number:05d}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        self._size = os.fstat(descriptor).st_size
        for old in list(newest_first(self._folder))[self._keep_files :]:
            old.unlink(missing_ok=True)
        return descriptor


def newest_first(folder: Path) -> Iterator[Path]:
    """Yield the ledger's files, the one written to last first."""
    stamped: list[tuple[int, str, Path]] = []
    for path in folder.glob(PATTERN):
        try:
            stamped.append((path.stat().st_mtime_ns, path.name, path))
        except FileNotFoundError:
            continue
    for _, _, path in sorted(stamped, reverse=True):
        yield path
