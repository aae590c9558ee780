"""A collection: implements contracts.retrieval.Index on its database, with an engine for the nearest vectors beside it.

The database is the truth. The engine follows it by the list of changes, so a crash between the two loses nothing.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from headrace.contracts.errors import EngineError, InvalidRequest
from headrace.contracts.retrieval import Attributes, Document, DocumentInfo, Filter, Passage
from headrace.retrieval.collection import lexical, reading, schema, writing
from headrace.retrieval.collection.database import Database
from headrace.retrieval.collection.reading import Stored
from headrace.retrieval.collection.schema import Meta
from headrace.retrieval.nearest.source import Engine, Vector

MOST_RESULTS: Final = 10_000

_log = logging.getLogger(__name__)


class Collection:
    """One collection's passages. Blocking and safe to share between threads; see contracts.retrieval.Index."""

    def __init__(
        self,
        database: Database,
        meta: Meta,
        engine: Callable[[Meta], Engine],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._meta = meta
        self._make_engine = engine
        self._engine = engine(meta)
        self._clock = clock
        self._changing = threading.Lock()

    def put(self, document: Document, vectors: Sequence[bytes]) -> None:
        """Add a document, or replace the one with its id; vectors[i] is chunks[i]'s."""
        if len(vectors) != len(document.chunks):
            raise InvalidRequest(
                f"document {document.id!r} has {len(document.chunks)} chunks and {len(vectors)} vectors; give one each"
            )
        _check_text(document)
        scaled = writing.unit(vectors, self._meta.embedder.dimensions)
        with self._database.writing() as connection:
            self._engine_for(connection)
            writing.put(connection, document, scaled, self._clock())
        self._follow()

    def annotate(self, document: str, attributes: Attributes) -> bool:
        """Change a document's attributes; False where there is no such document."""
        with self._database.writing() as connection:
            return writing.annotate(connection, document, attributes)

    def remove(self, document: str) -> bool:
        """Remove a document; False where there is none."""
        with self._database.writing() as connection:
            is_removed = writing.remove(connection, document)
        if is_removed:
            self._follow()
        return is_removed

    def documents(self) -> Iterator[DocumentInfo]:
        """Tell of every document, in the order of their ids."""
        after = ""
        while True:
            with self._database.reading() as connection:
                page = reading.documents(connection, after)
            yield from page
            if len(page) < reading.PAGE:
                return
            after = page[-1].id

    def text(self, document: str) -> str | None:
        """Return the converted text of a document."""
        with self._database.reading() as connection:
            return reading.text(connection, document)

    def lexical(self, text: str, k: int, where: Filter | None = None) -> list[tuple[int, float]]:
        """Return (passage id, BM25), best first; any text is a query, none of it is syntax."""
        with self._database.reading() as connection:
            return lexical.search(connection, text, min(k, MOST_RESULTS), where)

    def dense(self, vector: bytes, k: int, where: Filter | None = None) -> list[tuple[int, float]]:
        """Return (passage id, cosine), best first."""
        (scaled,) = writing.unit([vector], self._meta.embedder.dimensions)
        query: Vector = np.frombuffer(scaled, dtype="<f4")
        with self._database.reading() as connection:
            engine = self._engine_for(connection)
            within = None if where is None else reading.ranges(connection, where)
            if k < 1 or (within is not None and not len(within)):
                return []
            return engine.search(self._vectors(connection), query, min(k, MOST_RESULTS), within)

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """Return the passages of these ids, in this order, without those that are gone."""
        with self._database.reading() as connection:
            return reading.passages(connection, ids)

    def settle(self) -> None:
        """Finish now what the engine would do in the background: build an index, or send vectors."""
        with self._database.reading() as connection:
            engine = self._engine_for(connection)
        engine.settle()

    def close(self) -> None:
        """Give everything back; what was put is on disk already."""
        self._engine.close()
        self._database.close()

    def _follow(self) -> None:
        """Let the engine take up what is on disk already; where it cannot, it will with the next search or change."""
        try:
            with self._database.reading() as connection:
                self._engine_for(connection).follow(self._vectors(connection))
        except EngineError as exc:
            _log.warning("vectors of collection %s lag behind: %s", self._database.name, exc)

    def _engine_for(self, connection: sqlite3.Connection) -> Engine:
        """Return the engine of this very database: a rebuilt one may have been put in the place of the one opened."""
        found = schema.read(connection, self._database.name)
        if found == self._meta:
            return self._engine
        with self._changing:
            schema.check(found, self._meta.embedder, "", self._database.name)
            if found.identity != self._meta.identity:
                self._engine.close()
                self._engine = self._make_engine(found)
            self._meta = found
        return self._engine

    def _vectors(self, connection: sqlite3.Connection) -> Stored:
        return Stored(connection, self._meta.embedder.dimensions)


def _check_text(document: Document) -> None:
    if not document.id:
        raise InvalidRequest("a document needs an id that is not empty")
    try:
        for text in (document.id, document.name, document.text, *(chunk.text for chunk in document.chunks)):
            text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            f"document {document.id!r} holds half a surrogate pair at {exc.start}; convert it to valid Unicode"
        ) from exc
