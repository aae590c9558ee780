"""What is read from a collection's tables, inside the caller's read transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from headrace.contracts.retrieval import Attributes, DocumentInfo, Filter, Passage
from headrace.retrieval.collection.where import condition
from headrace.retrieval.nearest.ranges import size, spelled
from headrace.retrieval.nearest.source import START, Change, Ids, Mark, Ranges, Vector

PAGE: Final = 128
# Ranges of fewer ids on average are quicker to read id by id.
LONG: Final = 8

_DOCUMENTS: Final = """
SELECT id, name, sha256, last - first + 1, bytes, added, attributes FROM documents WHERE id > ? ORDER BY id LIMIT ?
"""
_PASSAGES: Final = """
SELECT chunks.id, documents.id, documents.name, chunks.text, chunks.start, chunks.stop, chunks.tokens, chunks.heading,
       chunks.page, documents.attributes
FROM chunks JOIN documents ON documents.row = chunks.document
WHERE chunks.id IN (SELECT value FROM json_each(?))
"""


class Stored:
    """The vectors as one read transaction sees them; implements Source."""

    def __init__(self, connection: sqlite3.Connection, dimensions: int) -> None:
        self._connection = connection
        self._dimensions = dimensions

    def newest(self) -> Mark:
        """Return the place of the newest change."""
        row = self._connection.execute("SELECT seq, stamp FROM changes ORDER BY seq DESC LIMIT 1").fetchone()
        return Mark(*row) if row else START

    def follows(self, mark: Mark) -> bool:
        """Tell whether the changes after this place are all still here: False for a place of another history."""
        row = self._connection.execute("SELECT stamp FROM changes WHERE seq = ?", (mark.seq,)).fetchone()
        return row[0] == mark.stamp if row else mark == START

    def changes(self, after: Mark) -> list[Change]:
        """Return what changed after a place, oldest first."""
        rows = self._connection.execute(
            "SELECT seq, stamp, kind, first, last FROM changes WHERE seq > ? ORDER BY seq", (after.seq,)
        )
        return [Change(Mark(seq, stamp), kind, first, last) for seq, stamp, kind, first, last in rows]

    def count(self) -> int:
        """Return how many vectors there are."""
        (count,) = self._connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM documents").fetchone()
        return int(count)

    def last_id(self) -> int:
        """Return the greatest id there is, 0 where there is none."""
        (last,) = self._connection.execute("SELECT coalesce(max(chunk), 0) FROM vectors").fetchone()
        return int(last)

    def these(self, ids: Ids) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors, one a row, that there are of these ids."""
        query = "SELECT chunk, vector FROM vectors WHERE chunk IN (SELECT value FROM json_each(?)) ORDER BY chunk"
        return self._arrays(self._connection.execute(query, (_json(ids.tolist()),)).fetchall())

    def within(self, ranges: Ranges) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors, one a row, that there are in merged ranges."""
        if len(ranges) * LONG > size(ranges):
            return self.these(spelled(ranges))
        rows: list[tuple[int, bytes]] = []
        for first, last in ranges.tolist():
            found = self._connection.execute(
                "SELECT chunk, vector FROM vectors WHERE chunk BETWEEN ? AND ? ORDER BY chunk", (first, last)
            )
            rows += found.fetchall()
        return self._arrays(rows)

    def batches(self, size: int, after: int = 0) -> Iterator[tuple[Ids, Vector]]:
        """Go through all vectors with a greater id, in the order of their ids, `size` at a time."""
        rows = self._connection.execute("SELECT chunk, vector FROM vectors WHERE chunk > ? ORDER BY chunk", (after,))
        while batch := rows.fetchmany(size):
            yield self._arrays(batch)

    def _arrays(self, rows: Sequence[tuple[int, bytes]]) -> tuple[Ids, Vector]:
        ids = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        numbers = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(len(rows), self._dimensions)
        return ids, numbers


def documents(connection: sqlite3.Connection, after: str) -> list[DocumentInfo]:
    """Tell of one page of documents with greater ids, in the order of their ids."""
    rows = connection.execute(_DOCUMENTS, (after, PAGE)).fetchall()
    return [
        DocumentInfo(id_, name, sha256, chunks, size, added, _attributes(attributes))
        for id_, name, sha256, chunks, size, added, attributes in rows
    ]


def text(connection: sqlite3.Connection, document: str) -> str | None:
    """Return the converted text of a document."""
    row = connection.execute("SELECT text FROM documents WHERE id = ?", (document,)).fetchone()
    return row[0] if row else None


def passages(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Passage]:
    """Return the passages of these ids, in this order, without those that are gone."""
    found: dict[int, Passage] = {}
    rows = connection.execute(_PASSAGES, (_json(ids),))
    for id_, document, name, passage, start, stop, tokens, heading, page, attributes in rows:
        found[id_] = Passage(id_, document, name, passage, start, stop, tokens, heading, page, _attributes(attributes))
    return [found[id_] for id_ in ids if id_ in found]


def ranges(connection: sqlite3.Connection, where: Filter) -> Ranges:
    """Return the first and the last passage of each document that passes a filter."""
    test, parameters = condition(where)
    rows = connection.execute(f"SELECT first, last FROM documents WHERE {test} ORDER BY first", parameters)  # noqa: S608  (parameters only)
    return np.array(rows.fetchall(), dtype=np.int64).reshape(-1, 2)


def _attributes(encoded: str) -> Attributes:
    return msgspec.json.decode(encoded, type=dict[str, str | int | float | bool])


def _json(ids: Sequence[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()
