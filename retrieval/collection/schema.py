"""The tables of a collection, and what its database must say of itself before it is trusted.

`documents` has one row a document, `chunks`, `vectors` and `words` one a passage under the same id. A document's
passages have consecutive ids. `changes` lists which vectors came and went, for what is derived from them.
"""

import secrets
import sqlite3
from typing import Final

import msgspec

from headrace.contracts.errors import NotFound, StoreError
from headrace.contracts.retrieval import EmbedderId

FORMAT: Final = 1
PAGE_BYTES: Final = 8192
STAMP_BITS: Final = 63

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
  row INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  added REAL NOT NULL,
  attributes TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE TABLE attributes (
  document INTEGER NOT NULL,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  value NOT NULL,
  PRIMARY KEY (document, key)
) WITHOUT ROWID;
CREATE INDEX attributes_by_value ON attributes (key, kind, value);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  page INTEGER,
  heading TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  stamp INTEGER NOT NULL,
  kind TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL
);
CREATE VIEW indexed AS
  SELECT chunks.id AS id, chunks.heading AS heading, documents.name AS name, chunks.text AS text
  FROM chunks JOIN documents ON documents.row = chunks.document;
CREATE VIRTUAL TABLE words USING fts5(
  heading, name, text, content = 'indexed', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
"""


class Meta(msgspec.Struct, frozen=True):
    """What a database says of itself. identity: random, made once. chunking: how its documents were cut, "" unsaid."""

    format: int
    identity: str
    embedder: EmbedderId
    chunking: str = ""


def create(connection: sqlite3.Connection, embedder: EmbedderId, chunking: str) -> Meta:
    """Make the tables, inside the caller's transaction."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    meta = Meta(FORMAT, secrets.token_hex(16), embedder, chunking)
    save(connection, meta)
    return meta


def save(connection: sqlite3.Connection, meta: Meta) -> None:
    """Write what the database says of itself."""
    rows = [(key, msgspec.json.encode(value).decode()) for key, value in msgspec.structs.asdict(meta).items()]
    connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", rows)


def exists(connection: sqlite3.Connection) -> bool:
    """Tell whether the tables were made: a database whose making was cut short has none."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is not None


def read(connection: sqlite3.Connection, name: str) -> Meta:
    """Return what the database says of itself; NotFound where it has no tables, StoreError for another format."""
    if not exists(connection):
        raise NotFound(f"there is no collection {name!r}; make it with `headrace index add {name} FOLDER`")
    rows = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    if rows.get("format") != str(FORMAT):
        raise StoreError(
            f"collection {name!r} has format {rows.get('format')}, this headrace reads format {FORMAT}; "
            f"use the headrace that made it, or remove it and run `headrace index add {name} FOLDER`"
        )
    try:
        return msgspec.convert({key: msgspec.json.decode(value) for key, value in rows.items()}, Meta)
    except msgspec.MsgspecError as exc:
        raise StoreError(f"collection {name!r} does not say what it holds; restore it from a backup") from exc


def check(meta: Meta, embedder: EmbedderId, chunking: str, name: str) -> None:
    """Refuse to mix vectors of two embedders, or passages cut in two ways; chunking "" takes what there is."""
    if meta.embedder != embedder:
        raise StoreError(
            f"collection {name!r} was made with embedder {_called(meta.embedder)}, this is {_called(embedder)}; "
            f"run `headrace index rebuild {name}` to embed its documents anew"
        )
    if chunking and meta.chunking and meta.chunking != chunking:
        raise StoreError(
            f"collection {name!r} was cut with {meta.chunking}, this is {chunking}; "
            f"run `headrace index rebuild {name}` to cut its documents anew"
        )


def _called(embedder: EmbedderId) -> str:
    return f"{embedder.model} ({embedder.dimensions} dimensions, weights {embedder.sha256[:12]})"
