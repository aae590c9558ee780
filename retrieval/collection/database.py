"""Connections to a collection's database: many readers, one writer at a time over all processes, errors in our words.

WAL lets readers go on while somebody writes; synchronous=FULL puts a commit on disk before it is acknowledged.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from headrace.contracts.errors import HeadraceError, NotFound, Overloaded, StoreError
from headrace.retrieval.collection.schema import PAGE_BYTES

MOST_IDLE: Final = 8
BUSY_S: Final = 5.0
CACHE_KIB: Final = 8192
_UNWRITABLE: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_PRIMARY: Final = 0xFF


class Database:
    """One SQLite file. Safe to share between threads; `wait_s` bounds how long a writer waits for another.

    Another file may be put in its place at any time: connections to the old one are not lent again.
    """

    def __init__(self, path: Path, *, name: str, wait_s: float) -> None:
        self.path = path
        self.name = name
        self._wait_s = wait_s
        self._guard = threading.Lock()
        self._idle: list[_Connection] = []
        self._is_closed = False
        self._turn = threading.Lock()
        self._lock = FileLock(path.with_name("write.lock"), thread_local=False)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside one read transaction: it sees one moment, and blocks nobody."""
        with _translated(self.name):
            connection = self._borrow()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._take_back(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside the one write transaction; it is on disk when the block ends, or never was."""
        with self.exclusive(), _translated(self.name):
            connection = self._borrow()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                self._take_back(connection)

    def close(self) -> None:
        """Close every connection that is not lent; a lent one is closed when it comes back."""
        with self._guard:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out: wait for the turn among this object's threads, then among processes."""
        busy = f"collection {self.name!r} is being written; waited {self._wait_s:g} s: try again when that is done"
        if not self._turn.acquire(timeout=self._wait_s):
            raise Overloaded(busy, retry_after_s=self._wait_s)
        try:
            try:
                self._lock.acquire(timeout=self._wait_s)
            except Timeout as exc:
                raise Overloaded(busy, retry_after_s=self._wait_s) from exc
            except OSError as exc:
                raise StoreError(f"collection {self.name!r} cannot be written: {exc.strerror}") from exc
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._turn.release()

    def _borrow(self) -> "_Connection":
        file = self._file()
        with self._guard:
            if self._is_closed:
                raise StoreError(f"collection {self.name!r} is closed; open it again")
            while self._idle:
                connection = self._idle.pop()
                if connection.file == file:
                    return connection
                connection.close()
        connection = self._connect()
        connection.file = file
        return connection

    def _take_back(self, connection: "_Connection") -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._guard:
            if not self._is_closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _file(self) -> tuple[int, int]:
        """Return which file it is, by what no other file has."""
        try:
            status = self.path.stat()
        except OSError as exc:
            raise NotFound(f"collection {self.name!r} is gone: {exc.strerror}; add its documents again") from exc
        return status.st_dev, status.st_ino

    def _connect(self) -> "_Connection":
        try:
            return self._connect_with("mode=rw")
        except sqlite3.OperationalError:
            # A read-only folder takes no shared-memory file. Without a write-ahead list nothing is missed by that.
            ahead = self.path.with_name(self.path.name + "-wal")
            if ahead.exists() and ahead.stat().st_size:
                raise
            return self._connect_with("immutable=1")

    def _connect_with(self, option: str) -> "_Connection":
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?{option}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        try:
            if option == "mode=rw":
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection


class _Connection(sqlite3.Connection):
    """file: the one it was opened on."""

    file: tuple[int, int]


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise _translation(exc, name) from exc


def _translation(error: sqlite3.Error, name: str) -> HeadraceError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"no space left for collection {name!r}; free some: nothing of this change was kept")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Overloaded(f"collection {name!r} is locked by another program; try again", retry_after_s=BUSY_S)
    if code in _UNWRITABLE:
        return StoreError(f"collection {name!r} cannot be opened or written: {error}; check the folder's permissions")
    if code in _DAMAGED:
        return StoreError(f"collection {name!r} is damaged: {error}; restore it from a backup, or remove and add again")
    return StoreError(f"collection {name!r}: {error}")
