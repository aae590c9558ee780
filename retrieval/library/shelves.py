"""Which files are in which vector stores, and their batches, for a tenant. Blocking; safe to share between threads."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from headrace.contracts.errors import NotFound
from headrace.contracts.retrieval import Attributes
from headrace.retrieval.library import members, stores
from headrace.retrieval.library.database import Database
from headrace.retrieval.library.files import found as found_file
from headrace.retrieval.library.files import remember
from headrace.retrieval.library.paging import Page, PageAsk
from headrace.retrieval.library.records import (
    BATCH_PREFIX,
    BatchRecord,
    Counts,
    Leaving,
    MemberRecord,
    NewMember,
    Status,
    new_id,
)

_BATCH: Final = """
    SELECT b.id, b.store, b.created, b.cancelled,
        count(*) FILTER (WHERE m.status = 'in_progress'), count(*) FILTER (WHERE m.status = 'completed'),
        count(*) FILTER (WHERE m.status = 'failed'), count(*) FILTER (WHERE m.status = 'cancelled')
    FROM batches AS b LEFT JOIN members AS m ON m.batch = b.id
    WHERE b.id = ? AND b.store = ? GROUP BY b.seq
"""
_SHOWN: Final = """
    SELECT m.file, f.name, m.attributes FROM members AS m JOIN files AS f ON f.id = m.file
    WHERE m.store = ? AND m.status = 'completed' AND m.file IN (SELECT value FROM json_each(?))
        AND (f.expires IS NULL OR f.expires > ?)
"""


class Shown(msgspec.Struct, frozen=True):
    """What a search tells of a file: its name and attributes as they are now."""

    name: str
    attributes: Attributes


class Shelves:
    """The part of the catalogue that says what is in a store. now: seconds since 1970. most_files: in one store."""

    def __init__(self, database: Database, *, most_files: int, now: Callable[[], float]) -> None:
        self._database = database
        self._most_files = most_files
        self._now = now

    def add(self, tenant: str, store: str, new: NewMember) -> MemberRecord:
        """Put a file into a store to be ingested."""
        with self._database.write() as connection:
            self._insert(connection, tenant, store, (new,))
            return members.found(connection, store, new.file)

    def add_batch(self, tenant: str, store: str, files: Sequence[NewMember]) -> BatchRecord:
        """Put several files into a store to be ingested, as one batch."""
        batch, now = new_id(BATCH_PREFIX), int(self._now())
        with self._database.write() as connection:
            stores.live(connection, tenant, store, now=now)
            connection.execute("INSERT INTO batches (id, store, created) VALUES (?, ?, ?)", (batch, store, now))
            self._insert(connection, tenant, store, files, batch)
            return _batch(connection, store, batch)

    def adopt(self, tenant: str, store: str, new: NewMember, size: int) -> MemberRecord:
        """Show a file whose passages are in the store's index already. size: bytes they take there."""
        now = self._now()
        with self._database.write() as connection:
            stores.live(connection, tenant, store, now=now)
            found_file(connection, tenant, new.file, now=now)
            members.put(connection, store, new, status="completed", now=now, size=size)
            _touch(connection, store, now)
            return members.found(connection, store, new.file)

    def get(self, tenant: str, store: str, file: str) -> MemberRecord:
        """Return a file of a store of this tenant; NotFound for anything else."""
        with self._database.read() as connection:
            stores.found(connection, tenant, store)
            return members.found(connection, store, file)

    def page(
        self, tenant: str, store: str, ask: PageAsk, *, status: Status | None = None, batch: str | None = None
    ) -> Page[MemberRecord]:
        """Return a page of the files of a store or of one of its batches."""
        with self._database.read() as connection:
            stores.found(connection, tenant, store)
            if batch is not None:
                _batch(connection, store, batch)
            return members.page(connection, store, ask, status=status, batch=batch)

    def annotate(self, tenant: str, store: str, file: str, attributes: Attributes) -> MemberRecord:
        """Change the attributes of a file; the index is told by whoever calls."""
        with self._database.write() as connection:
            stores.live(connection, tenant, store, now=self._now())
            members.found(connection, store, file)
            connection.execute(
                "UPDATE members SET attributes = ? WHERE store = ? AND file = ?",
                (members.encode(attributes), store, file),
            )
            return members.found(connection, store, file)

    def leave(self, tenant: str, store: str, file: str) -> Leaving:
        """Hide a file of a store; once its passages are out of the index, call `gone`."""
        with self._database.write() as connection:
            stores.found(connection, tenant, store)
            members.found(connection, store, file)
            connection.execute("UPDATE members SET status = 'leaving' WHERE store = ? AND file = ?", (store, file))
            row = connection.execute("SELECT turn FROM members WHERE store = ? AND file = ?", (store, file)).fetchone()
            return Leaving(row[0], store, file)

    def gone(self, leaving: Leaving) -> None:
        """Forget a file that was told to leave, unless it was put into the store again meanwhile."""
        asked = (leaving.store, leaving.file, leaving.turn)
        with self._database.write() as connection:
            row = connection.execute(
                "DELETE FROM members WHERE store = ? AND file = ? AND turn = ? AND status = 'leaving' RETURNING seq",
                asked,
            ).fetchone()
            if row is not None:
                key = f"{leaving.store}/{leaving.file}"
                remember(connection, key, leaving.store, row[0], now=self._now())

    def batch(self, tenant: str, store: str, batch: str) -> BatchRecord:
        """Return a batch of a store of this tenant; NotFound for anything else."""
        with self._database.read() as connection:
            stores.found(connection, tenant, store)
            return _batch(connection, store, batch)

    def cancel(self, tenant: str, store: str, batch: str) -> BatchRecord:
        """Give up those files of a batch that are not ingested yet."""
        with self._database.write() as connection:
            stores.found(connection, tenant, store)
            _batch(connection, store, batch)
            stopped = connection.execute(
                "UPDATE members SET status = 'cancelled' WHERE batch = ? AND status = 'in_progress'", (batch,)
            )
            if stopped.rowcount:
                connection.execute("UPDATE batches SET cancelled = 1 WHERE id = ?", (batch,))
            return _batch(connection, store, batch)

    def shown(self, store: str, files: Collection[str]) -> Mapping[str, Shown]:
        """Return those of the files that a search in this store may show."""
        with self._database.read() as connection:
            rows = connection.execute(_SHOWN, (store, msgspec.json.encode(sorted(files)).decode(), self._now()))
            return {file: Shown(name, members.decode(attributes)) for file, name, attributes in rows}

    def _insert(
        self,
        connection: sqlite3.Connection,
        tenant: str,
        store: str,
        files: Sequence[NewMember],
        batch: str | None = None,
    ) -> None:
        now = self._now()
        stores.live(connection, tenant, store, now=now)
        members.insert(connection, tenant, store, files, now=now, most_files=self._most_files, batch=batch)
        _touch(connection, store, now)


def _touch(connection: sqlite3.Connection, store: str, now: float) -> None:
    connection.execute("UPDATE stores SET last_active = max(last_active, ?) WHERE id = ?", (int(now), store))


def _batch(connection: sqlite3.Connection, store: str, batch: str) -> BatchRecord:
    row = connection.execute(_BATCH, (batch, store)).fetchone()
    if row is None:
        raise NotFound(f"no file batch '{batch[:64]}' is in the vector store '{store}'", code="batch_not_found")
    found, of, created, is_cancelled, *counts = row
    return BatchRecord(found, of, created, bool(is_cancelled), Counts(*counts))
