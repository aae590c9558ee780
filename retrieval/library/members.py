"""Rows of the files in vector stores: how they are read and written inside a transaction. Knows no tenant's store."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from headrace.contracts.errors import InvalidRequest, NotFound
from headrace.contracts.retrieval import Attributes
from headrace.retrieval.library.files import found as found_file
from headrace.retrieval.library.paging import Page, PageAsk, cut, window
from headrace.retrieval.library.records import Chunking, LastError, MemberRecord, NewMember, Status

FIELDS: Final = "store, file, batch, status, error_code, error_message, attributes, max_tokens, overlap, bytes, created"
_PUT: Final = """
    INSERT INTO members (store, file, batch, turn, status, attributes, max_tokens, overlap, bytes, created)
    VALUES (:store, :file, :batch, abs(random()), :status, :attributes, :max_tokens, :overlap, :bytes, :now)
    ON CONFLICT (store, file) DO UPDATE SET batch = excluded.batch, turn = excluded.turn, status = excluded.status,
        error_code = NULL, error_message = NULL, attributes = excluded.attributes, max_tokens = excluded.max_tokens,
        overlap = excluded.overlap, bytes = excluded.bytes, created = excluded.created
"""
_GET: Final = f"SELECT {FIELDS} FROM members WHERE store = ? AND file = ? AND status <> 'leaving'"  # noqa: S608  (constants)
_LISTED: Final = (
    f"SELECT {FIELDS} FROM members WHERE store = :store AND status <> 'leaving' "  # noqa: S608  (constants)
    "AND (:status IS NULL OR status = :status) AND (:batch IS NULL OR batch = :batch) "
    "AND seq > :low AND seq < :high ORDER BY seq "
)
_LIST: Final = {"asc": f"{_LISTED} ASC LIMIT :limit", "desc": f"{_LISTED} DESC LIMIT :limit"}
_SEQ: Final = """
    SELECT seq FROM members WHERE store = :store AND file = :file
    UNION ALL SELECT seq FROM gone WHERE id = :store || '/' || :file AND owner = :store
"""


def insert(
    connection: sqlite3.Connection,
    tenant: str,
    store: str,
    files: Iterable[NewMember],
    *,
    now: float,
    most_files: int,
    batch: str | None = None,
) -> None:
    """Put the tenant's files into a store to be ingested; one that is in it already is done anew."""
    for position, new in enumerate(files):
        found_file(connection, tenant, new.file, now=now, param=f"file_ids[{position}]")
        put(connection, store, new, status="in_progress", now=now, batch=batch)
    (held,) = connection.execute(
        "SELECT count(*) FROM members WHERE store = ? AND status <> 'leaving'", (store,)
    ).fetchone()
    if held > most_files:
        raise InvalidRequest(
            f"the vector store would hold {held} files and may hold {most_files}; put some into another store",
            param="file_ids",
            code="vector_store_file_limit",
        )


def put(
    connection: sqlite3.Connection,
    store: str,
    new: NewMember,
    *,
    status: Status,
    now: float,
    batch: str | None = None,
    size: int = 0,
) -> None:
    """Write one row."""
    connection.execute(
        _PUT,
        {
            "store": store,
            "file": new.file,
            "batch": batch,
            "status": status,
            "attributes": encode(new.attributes),
            "max_tokens": new.chunking.max_tokens,
            "overlap": new.chunking.overlap,
            "bytes": size,
            "now": int(now),
        },
    )


def found(connection: sqlite3.Connection, store: str, file: str) -> MemberRecord:
    """Return a file of a store; NotFound where it is not in it."""
    row = connection.execute(_GET, (store, file)).fetchone()
    if row is None:
        raise NotFound(
            f"no file '{file[:64]}' is in the vector store '{store}'", param="file_id", code="file_not_found"
        )
    return record(row)


def page(
    connection: sqlite3.Connection, store: str, ask: PageAsk, *, status: Status | None, batch: str | None
) -> Page[MemberRecord]:
    """Return a page of a store's files, of one status or of one batch where these are given."""
    part = window(ask, lambda cursor, parameter: _seq_of(connection, store, cursor, parameter))
    asked = {
        "store": store,
        "status": status,
        "batch": batch,
        "low": part.low,
        "high": part.high,
        "limit": ask.limit + 1,
    }
    rows = [record(row) for row in connection.execute(_LIST[part.walk], asked)]
    return cut(rows, ask.limit, is_backwards=part.is_backwards)


def record(row: Sequence[Any]) -> MemberRecord:
    """Return the value of a row with FIELDS."""
    store, file, batch, status, code, message, attributes, max_tokens, overlap, size, created = row
    return MemberRecord(
        store=store,
        file=file,
        batch=batch,
        status=status,
        error=None if code is None else LastError(code, message),
        attributes=decode(attributes),
        chunking=Chunking(max_tokens, overlap),
        bytes=size,
        created=created,
    )


def encode(attributes: Attributes) -> str:
    """Return attributes as a row holds them."""
    return msgspec.json.encode(attributes).decode()


def decode(text: str) -> Attributes:
    """Return the attributes of a row."""
    attributes: Attributes = msgspec.json.decode(text)
    return attributes


def _seq_of(connection: sqlite3.Connection, store: str, cursor: str, parameter: str) -> int:
    row = connection.execute(_SEQ, {"store": store, "file": cursor}).fetchone()
    if row is None:
        raise InvalidRequest(
            f"'{parameter}' names no file of this vector store: '{cursor[:64]}'; take an id of the page before",
            param=parameter,
        )
    return int(row[0])
