"""Files of tenants in the catalogue. Blocking; safe to share between threads."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headrace.contracts.errors import InvalidRequest, NotFound, PayloadTooLarge
from headrace.retrieval.library.blobs import Blobs, Upload
from headrace.retrieval.library.database import Database
from headrace.retrieval.library.names import clean_name
from headrace.retrieval.library.paging import Page, PageAsk, cut, window
from headrace.retrieval.library.records import FILE_PREFIX, FileRecord, Leaving, Purpose, new_id

FIELDS: Final = "id, tenant, name, purpose, bytes, sha256, created, expires"
_SHOWN: Final = "NOT leaving AND (expires IS NULL OR expires > :now)"
_GET: Final = f"SELECT {FIELDS} FROM files WHERE id = :id AND tenant = :tenant AND {_SHOWN}"  # noqa: S608  (constants)
_LISTED: Final = (
    f"SELECT {FIELDS} FROM files WHERE tenant = :tenant AND {_SHOWN} AND seq > :low AND seq < :high "  # noqa: S608  (constants)
    "AND (:purpose IS NULL OR purpose = :purpose) ORDER BY seq "
)
_LIST: Final = {"asc": f"{_LISTED} ASC LIMIT :limit", "desc": f"{_LISTED} DESC LIMIT :limit"}
_SEQ: Final = """
    SELECT seq FROM files WHERE id = :id AND tenant = :tenant
    UNION ALL SELECT seq FROM gone WHERE id = :id AND owner = :tenant
"""


class Files:
    """The files' part of the catalogue. now: seconds since 1970. tenant_bytes: the most one tenant may keep."""

    def __init__(
        self, database: Database, blobs: Blobs, *, file_bytes: int, tenant_bytes: int, now: Callable[[], float]
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._file_bytes = file_bytes
        self._tenant_bytes = tenant_bytes
        self._now = now

    def begin(self) -> Upload:
        """Return a place for a file's bytes; use it as a context manager around `publish`."""
        return self._blobs.begin(self._file_bytes)

    def publish(
        self, upload: Upload, tenant: str, name: str, purpose: Purpose = "assistants", expires_s: int | None = None
    ) -> FileRecord:
        """Make the bytes that came a file of this tenant; from here on a crash does not lose it."""
        if not upload.size:
            raise InvalidRequest("the file is empty; send one with content", param="file", code="empty_file")
        upload.settle()
        created = int(self._now())
        record = FileRecord(
            id=new_id(FILE_PREFIX),
            tenant=tenant,
            name=clean_name(name),
            purpose=purpose,
            bytes=upload.size,
            sha256=upload.sha256,
            created=created,
            expires=None if expires_s is None else created + expires_s,
        )
        with self._database.write() as connection:
            self._check_room(connection, record)
            self._blobs.place(upload)
            connection.execute(
                f"INSERT INTO files ({FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  (constants)
                (
                    record.id,
                    record.tenant,
                    record.name,
                    record.purpose,
                    record.bytes,
                    record.sha256,
                    record.created,
                    record.expires,
                ),
            )
        return record

    def keep(self, tenant: str, name: str, content: bytes, purpose: Purpose = "assistants") -> FileRecord:
        """Keep bytes that are at hand as a file."""
        with self.begin() as upload:
            upload.write(content)
            return self.publish(upload, tenant, name, purpose)

    def get(self, tenant: str, file: str) -> FileRecord:
        """Return a file of this tenant; NotFound for any other id."""
        with self._database.read() as connection:
            return found(connection, tenant, file, now=self._now())

    def path(self, record: FileRecord) -> Path:
        """Return where its bytes are."""
        return self._blobs.path(record.sha256)

    def page(self, tenant: str, ask: PageAsk, purpose: str | None = None) -> Page[FileRecord]:
        """Return a page of the tenant's files."""
        with self._database.read() as connection:
            part = window(ask, lambda cursor, parameter: _seq_of(connection, tenant, cursor, parameter))
            asked = {
                "tenant": tenant,
                "purpose": purpose,
                "now": self._now(),
                "low": part.low,
                "high": part.high,
                "limit": ask.limit + 1,
            }
            rows = [FileRecord(*row) for row in connection.execute(_LIST[part.walk], asked)]
        return cut(rows, ask.limit, is_backwards=part.is_backwards)

    def leave(self, tenant: str, file: str) -> list[Leaving]:
        """Hide a file from everybody and return where it must be taken out of; then call `gone`."""
        with self._database.write() as connection:
            found(connection, tenant, file, now=self._now())
            return _hide(connection, file)

    def leave_expired(self) -> list[str]:
        """Hide files whose time is over; return those that are on their way out, also from before."""
        with self._database.write() as connection:
            expired = connection.execute(
                "SELECT id FROM files WHERE NOT leaving AND expires IS NOT NULL AND expires <= ?", (self._now(),)
            ).fetchall()
            for (file,) in expired:
                _hide(connection, file)
            return [file for (file,) in connection.execute("SELECT id FROM files WHERE leaving")]

    def gone(self, file: str) -> None:
        """Forget a file that has left every store, and its bytes if nobody else has the same."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT tenant, seq, sha256 FROM files WHERE id = ? AND leaving", (file,)
            ).fetchone()
            if row is None or connection.execute("SELECT 1 FROM members WHERE file = ?", (file,)).fetchone():
                return
            tenant, seq, sha256 = row
            connection.execute("DELETE FROM files WHERE id = ?", (file,))
            remember(connection, file, tenant, seq, now=self._now())
            if not connection.execute("SELECT 1 FROM files WHERE sha256 = ?", (sha256,)).fetchone():
                self._blobs.drop(sha256)

    def sweep(self) -> int:
        """Remove what killed processes left on disk; return how much that was."""
        with self._database.write() as connection:
            needed = {sha256 for (sha256,) in connection.execute("SELECT DISTINCT sha256 FROM files")}
            return self._blobs.sweep(needed.__contains__)

    def _check_room(self, connection: sqlite3.Connection, record: FileRecord) -> None:
        (used,) = connection.execute(
            "SELECT coalesce(sum(bytes), 0) FROM files WHERE tenant = ?", (record.tenant,)
        ).fetchone()
        if used + record.bytes > self._tenant_bytes:
            raise PayloadTooLarge(
                f"your files would take {used + record.bytes} bytes and may take {self._tenant_bytes}; delete some",
                param="file",
                code="storage_quota_exceeded",
            )


def found(
    connection: sqlite3.Connection, tenant: str, file: str, *, now: float, param: str | None = None
) -> FileRecord:
    """Return a file of this tenant; NotFound for any other id."""
    row = connection.execute(_GET, {"id": file, "tenant": tenant, "now": now}).fetchone()
    if row is None:
        raise NotFound(f"no file '{file[:64]}' exists", param=param or "id", code="file_not_found")
    return FileRecord(*row)


def remember(connection: sqlite3.Connection, key: str, owner: str, seq: int, *, now: float) -> None:
    """Keep where a removed object stood in its list."""
    connection.execute(
        "INSERT OR REPLACE INTO gone (id, owner, seq, at) VALUES (?, ?, ?, ?)", (key, owner, seq, int(now))
    )


def _seq_of(connection: sqlite3.Connection, tenant: str, cursor: str, parameter: str) -> int:
    row = connection.execute(_SEQ, {"id": cursor, "tenant": tenant}).fetchone()
    if row is None:
        raise InvalidRequest(
            f"'{parameter}' names no file: '{cursor[:64]}'; take an id of the page before", param=parameter
        )
    return int(row[0])


def _hide(connection: sqlite3.Connection, file: str) -> list[Leaving]:
    connection.execute("UPDATE files SET leaving = 1 WHERE id = ?", (file,))
    connection.execute("UPDATE members SET status = 'leaving' WHERE file = ?", (file,))
    rows = connection.execute("SELECT turn, store, file FROM members WHERE file = ?", (file,))
    return [Leaving(*row) for row in rows]
