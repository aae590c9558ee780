"""Writing files so that they are whole or absent: hashed as they stream, flushed to the disk, renamed into place."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from headrace.contracts.errors import StoreError

_CHUNK: Final = 1 << 20


def copy_stream(
    source: IO[bytes], target: IO[bytes], *, cap: int, on_bytes: Callable[[int], None] | None = None
) -> str:
    """Copy a stream and return its sha256; StoreError when it brings more than `cap` bytes."""
    digest = hashlib.sha256()
    count = 0
    while chunk := source.read(_CHUNK):
        count += len(chunk)
        if count > cap:
            raise StoreError(f"{getattr(target, 'name', 'a file')} grows over its stated {cap} bytes; nothing is kept")
        digest.update(chunk)
        target.write(chunk)
        if on_bytes is not None:
            on_bytes(len(chunk))
    return digest.hexdigest()


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
    return digest.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; it takes the name only when the block ends well, after an fsync."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with disk_errors(path), partial.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate a full or read-only disk into one clear line."""
    try:
        yield
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreError(f"the disk of {path.parent} is full; free some space and run it again") from exc
        if exc.errno in {errno.EACCES, errno.EROFS, errno.EPERM}:
            raise StoreError(f"{path.parent} cannot be written; set HEADRACE_HOME to a folder that can") from exc
        raise
