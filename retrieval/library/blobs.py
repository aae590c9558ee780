"""Bytes of files on disk, each under the hash of its content; a blob is there whole or not at all.

`incoming/` holds what is still arriving. Its writer holds a lock on it, so that what a killed process left behind can
be told from what another process is writing. Who may read a blob, and whether anybody needs it, is not known here.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from headrace.contracts.errors import HeadraceError, Overloaded, PayloadTooLarge, StoreError

_PART: Final = ".part"
_HASH_DIGITS: Final = frozenset("0123456789abcdef")
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Upload:
    """Bytes on their way in; hashed as they come, and removed by `close` unless they were placed.

    Blocking; safe to close while another thread still writes. PayloadTooLarge past `limit` bytes.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._hash = hashlib.sha256()
        self._turn = threading.Lock()
        with _disk():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path, self._file = _new_part(folder)

    @property
    def sha256(self) -> str:
        """The hash of what has come."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Keep some bytes."""
        with self._turn, _disk():
            self.size += len(data)
            if self.size > self._limit:
                raise PayloadTooLarge(
                    f"the file is larger than {self._limit} bytes, the most that is taken",
                    param="file",
                    code="file_too_large",
                )
            self._hash.update(data)
            rest = memoryview(data)
            while rest and not self._file.closed:
                rest = rest[self._file.write(rest) :]

    def settle(self) -> None:
        """Return once every byte is on disk."""
        with self._turn, _disk():
            os.fsync(self._file)

    def close(self) -> None:
        """Remove what was not placed."""
        with self._turn:
            self.path.unlink(missing_ok=True)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Blobs:
    """The folder of blobs. Only the catalogue's writer places or drops one, so no two do so at once."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        self._folder = folder
        self._incoming = incoming

    def begin(self, limit: int) -> Upload:
        """Return a place for bytes to come."""
        return Upload(self._incoming, limit)

    def place(self, upload: Upload) -> None:
        """Publish settled bytes under their hash; where they are there already, nothing changes."""
        target = self.path(upload.sha256)
        with _disk():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not target.exists():
                upload.path.rename(target)
                _sync_folder(self._folder)

    def path(self, sha256: str) -> Path:
        """Return where a blob is or would be."""
        return self._folder / sha256

    def drop(self, sha256: str) -> None:
        """Remove a blob; whoever reads it now reads on."""
        with suppress(FileNotFoundError):
            self.path(sha256).unlink()

    def sweep(self, is_needed: Callable[[str], bool]) -> int:
        """Remove blobs nobody needs and what killed processes left of uploads; return how many there were."""
        orphans = [path for path in _listed(self._folder) if _is_hash(path.name) and not is_needed(path.name)]
        for path in orphans:
            path.unlink(missing_ok=True)
        parts = [path for path in _listed(self._incoming) if path.suffix == _PART]
        return len(orphans) + sum(map(_remove_abandoned, parts))


def _new_part(folder: Path) -> tuple[Path, FileIO]:
    """Return a new file and its path, locked; a sweep may take a file for abandoned that has no lock yet."""
    while True:
        path = folder / f"{secrets.token_hex(16)}{_PART}"
        file = FileIO(os.open(path, _NEW, 0o600), "w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_hash(name: str) -> bool:
    return len(name) == hashlib.sha256().digest_size * 2 and set(name) <= _HASH_DIGITS


def _remove_abandoned(path: Path) -> bool:
    """Remove a file that nobody writes, under its lock, so that nobody begins to; tell whether it was one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk() -> Iterator[None]:
    """Say in our own words what the disk refuses."""
    try:
        yield
    except OSError as exc:
        raise _translated(exc) from exc


def _translated(exc: OSError) -> HeadraceError:
    if exc.errno in _NO_ROOM:
        return Overloaded("there is no room left for files; free some space", code="storage_full")
    return StoreError(f"the folder of files cannot be written: {exc.strerror}; see retrieval.folder")
