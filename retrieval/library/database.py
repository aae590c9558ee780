"""The catalogue's file: one writer at a time, readers that never wait for it, and errors in our own tree."""

import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headrace.contracts.errors import HeadraceError, Overloaded, StoreError

BUSY_MS: Final = 10_000
IDLE_READERS: Final = 4
_LAST_WRITER_S: Final = 30.0


class Database:
    """A SQLite file in WAL mode, made and brought up to date at first use. Safe to share between threads.

    What was written is on disk when `write` ends. Another process may use the same file at the same time.
    """

    def __init__(self, path: Path, steps: Sequence[Sequence[str]]) -> None:
        self.path = path
        self._steps = steps
        self._turn = threading.Lock()
        self._opening = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(IDLE_READERS)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the one writing connection inside a transaction: all of it is kept, or none."""
        if not self._turn.acquire(timeout=_LAST_WRITER_S):
            raise Overloaded("the catalogue of files is busy; try again", retry_after_s=1.0)
        try:
            connection = self._ready()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
        except sqlite3.Error as exc:
            raise _translated(exc, self.path) from exc
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one state of everything."""
        try:
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.rollback()
                self._give_back(connection)
        except sqlite3.Error as exc:
            raise _translated(exc, self.path) from exc

    def close(self) -> None:
        """Close every connection."""
        with self._turn, self._opening:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        while True:
            try:
                self._readers.get_nowait().close()
            except queue.Empty:
                return

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            pass
        self._ready()
        return _connect(self.path)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            self._readers.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _ready(self) -> sqlite3.Connection:
        """Return the writer, made at first use; only who holds the turn may write with it."""
        with self._opening:
            if self._writer is None:
                self._writer = self._open()
            return self._writer

    def _open(self) -> sqlite3.Connection:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise StoreError(f"the folder {folder} cannot be made: {exc.strerror}; set retrieval.folder") from exc
        connection = _connect(self.path)
        try:
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(self._steps):
            connection.rollback()
            raise StoreError(
                f"{self.path} was made by a newer headrace (version {version}, this one knows {len(self._steps)}); "
                "install that one, or set another retrieval.folder"
            )
        for step in self._steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(self._steps)}")
        connection.commit()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _translated(exc: sqlite3.Error, path: Path) -> HeadraceError:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Overloaded("the catalogue of files is busy; try again", retry_after_s=1.0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return Overloaded("there is no room left for files; free some space", code="storage_full")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"{path} is damaged; put a backup in its place, or move it away to begin anew")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(f"{path} cannot be written; let this user write there, or set retrieval.folder")
    return StoreError(f"the catalogue {path.name} failed: {type(exc).__name__}")
