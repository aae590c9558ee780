"""What changes in a collection's tables, inside the caller's one transaction."""

import math
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes, Document
from headrace.retrieval.collection import schema
from headrace.retrieval.collection.where import Parameter, typed

FLOAT_BYTES: Final = 4
MOST_CHANGES: Final = 100_000

_INSERT_DOCUMENT: Final = """
INSERT INTO documents (id, name, sha256, first, last, bytes, added, attributes, text)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row
"""
_INSERT_CHUNK: Final = """
INSERT INTO chunks (id, document, start, stop, tokens, page, heading, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_INDEX_WORDS: Final = """
INSERT INTO words (rowid, heading, name, text)
SELECT id, heading, name, text FROM indexed WHERE id BETWEEN ? AND ?
"""
_FORGET_WORDS: Final = """
INSERT INTO words (words, rowid, heading, name, text)
SELECT 'delete', id, heading, name, text FROM indexed WHERE id BETWEEN ? AND ?
"""


def unit(vectors: Sequence[bytes], dimensions: int) -> list[bytes]:
    """Return the vectors at length one; InvalidRequest for one of other dimensions, without a length or a direction."""
    for position, vector in enumerate(vectors):
        if len(vector) != dimensions * FLOAT_BYTES:
            raise InvalidRequest(
                f"vector {position} has {len(vector)} bytes, this collection's have {dimensions * FLOAT_BYTES} "
                f"({dimensions} float32 numbers); embed with the collection's own embedder"
            )
    numbers = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), dimensions).astype(np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    for position, length in enumerate(lengths[:, 0].tolist()):
        if not (math.isfinite(length) and length > 0.0):
            raise InvalidRequest(f"vector {position} has length {length}; embed the text again")
    return [row.tobytes() for row in (numbers / lengths).astype("<f4")]


def put(connection: sqlite3.Connection, document: Document, vectors: Sequence[bytes], now: float) -> None:
    """Add a document, or replace the one with its id; the vectors have length one, one a chunk."""
    attributes = _typed(document.attributes)
    remove(connection, document.id)
    (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    first, last = newest + 1, newest + len(document.chunks)
    size = len(document.text.encode()) + sum(map(len, vectors))
    encoded = msgspec.json.encode(document.attributes).decode()
    values = (document.id, document.name, document.sha256, first, last, size, now, encoded, document.text)
    (row,) = connection.execute(_INSERT_DOCUMENT, values).fetchone()
    _set_attributes(connection, row, attributes)
    if not document.chunks:
        return
    connection.executemany(
        _INSERT_CHUNK,
        (
            (id_, row, chunk.start, chunk.end, chunk.tokens, chunk.page, chunk.heading, chunk.text)
            for id_, chunk in enumerate(document.chunks, start=first)
        ),
    )
    connection.executemany("INSERT INTO vectors (chunk, vector) VALUES (?, ?)", enumerate(vectors, start=first))
    connection.execute(_INDEX_WORDS, (first, last))
    _log(connection, "add", first, last)


def annotate(connection: sqlite3.Connection, document: str, attributes: Attributes) -> bool:
    """Change a document's attributes; False where there is no such document."""
    rows = _typed(attributes)
    found = connection.execute(
        "UPDATE documents SET attributes = ? WHERE id = ? RETURNING row",
        (msgspec.json.encode(attributes).decode(), document),
    ).fetchone()
    if found is None:
        return False
    connection.execute("DELETE FROM attributes WHERE document = ?", found)
    _set_attributes(connection, found[0], rows)
    return True


def remove(connection: sqlite3.Connection, document: str) -> bool:
    """Remove a document; False where there is none."""
    found = connection.execute("SELECT row, first, last FROM documents WHERE id = ?", (document,)).fetchone()
    if found is None:
        return False
    row, first, last = found
    if first <= last:
        connection.execute(_FORGET_WORDS, (first, last))
        connection.execute("DELETE FROM vectors WHERE chunk BETWEEN ? AND ?", (first, last))
        connection.execute("DELETE FROM chunks WHERE id BETWEEN ? AND ?", (first, last))
        _log(connection, "remove", first, last)
    connection.execute("DELETE FROM attributes WHERE document = ?", (row,))
    connection.execute("DELETE FROM documents WHERE row = ?", (row,))
    return True


def _typed(attributes: Attributes) -> list[tuple[str, str, Parameter]]:
    for key in attributes:
        typed(key, name="an attribute's name")
    return [(key, *typed(value, name=f"attribute {key!r}")) for key, value in attributes.items()]


def _set_attributes(connection: sqlite3.Connection, row: int, attributes: Sequence[tuple[str, str, Parameter]]) -> None:
    connection.executemany(
        "INSERT INTO attributes (document, key, kind, value) VALUES (?, ?, ?, ?)", [(row, *one) for one in attributes]
    )


def _log(connection: sqlite3.Connection, kind: str, first: int, last: int) -> None:
    """List a change; who has not followed for so long that its place is gone starts from all vectors."""
    values = (secrets.randbits(schema.STAMP_BITS), kind, first, last)
    connection.execute("INSERT INTO changes (stamp, kind, first, last) VALUES (?, ?, ?, ?)", values)
    connection.execute("DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?", (MOST_CHANGES,))
