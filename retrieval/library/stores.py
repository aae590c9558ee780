"""Vector stores of tenants in the catalogue. Blocking; safe to share between threads."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.contracts.errors import InvalidRequest, NotFound
from headrace.retrieval.library import members
from headrace.retrieval.library.database import Database
from headrace.retrieval.library.files import remember
from headrace.retrieval.library.paging import Page, PageAsk, cut, window
from headrace.retrieval.library.records import STORE_PREFIX, Counts, NewMember, StoreRecord, new_id

TOUCH_S: Final = 60
_SELECT: Final = """
    SELECT s.id, s.tenant, s.name, s.description, s.metadata, s.created, s.last_active, s.expire_days,
        count(*) FILTER (WHERE m.status = 'in_progress'), count(*) FILTER (WHERE m.status = 'completed'),
        count(*) FILTER (WHERE m.status = 'failed'), count(*) FILTER (WHERE m.status = 'cancelled'),
        coalesce(sum(m.bytes) FILTER (WHERE m.status <> 'leaving'), 0)
    FROM stores AS s LEFT JOIN members AS m ON m.store = s.id
"""
_GET: Final = f"{_SELECT} WHERE s.id = :id AND s.tenant = :tenant AND NOT s.leaving GROUP BY s.seq"
_NAMED: Final = f"{_SELECT} WHERE s.name = :name AND s.tenant = :tenant AND NOT s.leaving GROUP BY s.seq LIMIT 2"
_LISTED: Final = (
    f"{_SELECT} WHERE s.tenant = :tenant AND NOT s.leaving AND s.seq > :low AND s.seq < :high GROUP BY s.seq"
)
_LIST: Final = {
    "asc": f"{_LISTED} ORDER BY s.seq ASC LIMIT :limit",
    "desc": f"{_LISTED} ORDER BY s.seq DESC LIMIT :limit",
}
_SEQ: Final = """
    SELECT seq FROM stores WHERE id = :id AND tenant = :tenant
    UNION ALL SELECT seq FROM gone WHERE id = :id AND owner = :tenant
"""
_EXPIRED: Final = "expire_days IS NOT NULL AND last_active + expire_days * 86400 <= :now"


class Changes(msgspec.Struct, frozen=True):
    """What an update changes; UNSET stays as it is, None of expire_days takes the expiry away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    metadata: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET
    expire_days: int | msgspec.UnsetType | None = msgspec.UNSET


class Stores:
    """The stores' part of the catalogue. now: seconds since 1970. most_files: in one store."""

    def __init__(self, database: Database, *, most_files: int, now: Callable[[], float]) -> None:
        self._database = database
        self._most_files = most_files
        self._now = now

    def create(
        self,
        tenant: str,
        name: str = "",
        *,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
        expire_days: int | None = None,
        files: Sequence[NewMember] = (),
    ) -> StoreRecord:
        """Make a store, and put the tenant's files into it; all of that or nothing."""
        store, now = new_id(STORE_PREFIX), int(self._now())
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO stores (id, tenant, name, description, metadata, created, last_active, expire_days) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (store, tenant, name, description, _json(metadata or {}), now, now, expire_days),
            )
            members.insert(connection, tenant, store, files, now=now, most_files=self._most_files)
            return found(connection, tenant, store)

    def get(self, tenant: str, store: str) -> StoreRecord:
        """Return a store of this tenant; NotFound for any other id."""
        with self._database.read() as connection:
            return found(connection, tenant, store)

    def named(self, tenant: str, name: str) -> StoreRecord | None:
        """Return the tenant's store of this name; InvalidRequest where several bear it."""
        with self._database.read() as connection:
            rows = connection.execute(_NAMED, {"name": name, "tenant": tenant}).fetchall()
        if len(rows) > 1:
            raise InvalidRequest(f"several vector stores are named '{name[:100]}'; use the id of one")
        return _record(rows[0]) if rows else None

    def page(self, tenant: str, ask: PageAsk) -> Page[StoreRecord]:
        """Return a page of the tenant's stores."""
        with self._database.read() as connection:
            part = window(ask, lambda cursor, parameter: _seq_of(connection, tenant, cursor, parameter))
            asked = {"tenant": tenant, "low": part.low, "high": part.high, "limit": ask.limit + 1}
            rows = [_record(row) for row in connection.execute(_LIST[part.walk], asked)]
        return cut(rows, ask.limit, is_backwards=part.is_backwards)

    def update(self, tenant: str, store: str, changes: Changes) -> StoreRecord:
        """Change a store; one whose time is over stays so."""
        with self._database.write() as connection:
            live(connection, tenant, store, now=self._now())
            for column, value in (("name", changes.name), ("expire_days", changes.expire_days)):
                if value is not msgspec.UNSET:
                    connection.execute(f"UPDATE stores SET {column} = ? WHERE id = ?", (value, store))  # noqa: S608  (constants)
            if changes.metadata is not msgspec.UNSET:
                connection.execute("UPDATE stores SET metadata = ? WHERE id = ?", (_json(changes.metadata), store))
            return found(connection, tenant, store)

    def touch(self, tenant: str, store: str) -> StoreRecord:
        """Return a store that is about to be used; InvalidRequest where its time is over. Writes once a minute."""
        now = self._now()
        with self._database.read() as connection:
            record = live(connection, tenant, store, now=now)
        if now - record.last_active >= TOUCH_S:
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE stores SET last_active = max(last_active, ?) WHERE id = ?", (int(now), store)
                )
        return record

    def leave(self, tenant: str, store: str) -> None:
        """Hide a store from everybody; once its index is gone, call `gone`."""
        with self._database.write() as connection:
            found(connection, tenant, store)
            connection.execute("UPDATE stores SET leaving = 1 WHERE id = ?", (store,))
            connection.execute("UPDATE members SET status = 'leaving' WHERE store = ?", (store,))

    def gone(self, store: str) -> None:
        """Forget a store that was told to leave."""
        with self._database.write() as connection:
            row = connection.execute("SELECT tenant, seq FROM stores WHERE id = ? AND leaving", (store,)).fetchone()
            if row is not None:
                connection.execute("DELETE FROM stores WHERE id = ?", (store,))
                remember(connection, store, *row, now=self._now())

    def leaving(self) -> list[str]:
        """Return the stores that are on their way out."""
        with self._database.read() as connection:
            return [store for (store,) in connection.execute("SELECT id FROM stores WHERE leaving")]

    def empty_expired(self) -> list[str]:
        """Hide the files of stores whose time is over; return those that still hold some. Then call `emptied`."""
        asked = {"now": self._now()}
        with self._database.write() as connection:
            rows = connection.execute(
                f"SELECT id FROM stores AS s WHERE NOT leaving AND {_EXPIRED} "  # noqa: S608  (constants)
                "AND EXISTS (SELECT 1 FROM members WHERE store = s.id)",
                asked,
            ).fetchall()
            for row in rows:
                connection.execute("UPDATE members SET status = 'leaving' WHERE store = ?", row)
        return [store for (store,) in rows]

    def emptied(self, store: str) -> None:
        """Forget the files of an expired store whose index is gone."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM members WHERE store = ? AND status = 'leaving'", (store,))


def found(connection: sqlite3.Connection, tenant: str, store: str) -> StoreRecord:
    """Return a store of this tenant; NotFound for any other id."""
    row = connection.execute(_GET, {"id": store, "tenant": tenant}).fetchone()
    if row is None:
        raise NotFound(f"no vector store '{store[:64]}' exists", param="vector_store_id", code="vector_store_not_found")
    return _record(row)


def live(connection: sqlite3.Connection, tenant: str, store: str, *, now: float) -> StoreRecord:
    """Return a store of this tenant that can be used; InvalidRequest where its time is over."""
    record = found(connection, tenant, store)
    if record.is_expired(now):
        raise InvalidRequest(
            f"the vector store '{store}' has expired after {record.expire_days} days without use; make a new one",
            param="vector_store_id",
            code="vector_store_expired",
        )
    return record


def _record(row: tuple[Any, ...]) -> StoreRecord:
    store, tenant, name, description, metadata, created, last_active, expire_days, *counts, size = row
    return StoreRecord(
        id=store,
        tenant=tenant,
        name=name,
        description=description,
        metadata=msgspec.json.decode(metadata),
        created=created,
        last_active=last_active,
        expire_days=expire_days,
        counts=Counts(*counts),
        bytes=size,
    )


def _json(value: Mapping[str, str]) -> str:
    return msgspec.json.encode(value).decode()


def _seq_of(connection: sqlite3.Connection, tenant: str, cursor: str, parameter: str) -> int:
    row = connection.execute(_SEQ, {"id": cursor, "tenant": tenant}).fetchone()
    if row is None:
        raise InvalidRequest(
            f"'{parameter}' names no vector store: '{cursor[:64]}'; take an id of the page before", param=parameter
        )
    return int(row[0])
