"""The nearest vectors by Qdrant: points follow the collection's list of changes, and can all be sent again.

One Qdrant collection a collection, named by its identity. Its metadata says up to which change it is complete; it is
written after the points, so what was cut short is done again, and doing it twice changes nothing. A Qdrant that was
emptied, restored or replaced says another place or none, and is filled anew.

The embedded form keeps its points in memory and is filled from the database when it is opened: the client's own files
hold pickles, which are never loaded here. The server must be 1.16 or newer, older ones keep no metadata.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from filelock import FileLock, Timeout
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from headrace.contracts.errors import EngineError
from headrace.retrieval.nearest.ranges import merged, spelled
from headrace.retrieval.nearest.source import START, Found, Ids, Mark, Ranges, Source, Sources, Vector
from headrace.retrieval.nearest.tail import best_of

SENT_AT_ONCE: Final = 256
DELETED_AT_ONCE: Final = 4096
WAIT_S: Final = 30.0
ID: Final = "id"
EMBEDDED: Final = ":memory:"

_log = logging.getLogger(__name__)


class Sent(msgspec.Struct, frozen=True):
    """What a Qdrant collection's metadata says: complete up to this change, and the greatest id ever sent."""

    seq: int = START.seq
    stamp: int = START.stamp
    last_id: int = 0

    @property
    def mark(self) -> Mark:
        """Return the place in the list of changes."""
        return Mark(self.seq, self.stamp)


class _Gone(EngineError):
    """Qdrant answers, and does not know the collection."""


class QdrantEngine:
    """Implements Engine. folder: the collection's, for the lock that one process at a time sends under."""

    def __init__(
        self,
        folder: Path,
        *,
        identity: str,
        dimensions: int,
        sources: Sources,
        url: str | None = None,
        api_key: str | None = None,
        timeout_s: int = 10,
    ) -> None:
        self._name = f"headrace-{identity}"
        self._called = folder.name
        self._where = url or EMBEDDED
        self._dimensions = dimensions
        self._sources = sources
        self._is_embedded = self._where == EMBEDDED
        self._client = (
            QdrantClient(location=EMBEDDED, force_disable_check_same_thread=True)
            if self._is_embedded
            else QdrantClient(url=url, api_key=api_key, timeout=timeout_s, check_compatibility=False)
        )
        # The embedded form is not safe to share between threads; a server is.
        self._calling = threading.RLock()
        self._sending = FileLock(folder / "qdrant.lock", thread_local=False)
        self._following = threading.Lock()
        self._sent: Sent | None = None

    def follow(self, source: Source) -> None:
        """Send what changed; EngineError where Qdrant does not answer."""
        if self._is_sent(source):
            return
        with self._following, self._turn(), self._sources() as current, self._asking():
            if not self._is_sent(current):
                self._sent = self._send(current)

    def search(self, source: Source, vector: Vector, k: int, within: Ranges | None) -> Found:
        """Follow, then return the ids and cosines of the k nearest, best first; within: only of these ids."""
        where = None if within is None else _filter(merged(within))
        self.follow(source)
        try:
            return self._ask(vector, k, where)
        except _Gone:
            self._sent = None
            self.follow(source)
            return self._ask(vector, k, where)

    def settle(self) -> None:
        """Send what changed; building is the server's own affair."""
        with self._sources() as source:
            self.follow(source)

    def forget(self) -> None:
        """Remove the points; EngineError where Qdrant does not answer."""
        with self._asking():
            self._client.delete_collection(self._name)

    def close(self) -> None:
        """Close the connections; an embedded Qdrant is gone with that."""
        with self._calling:
            self._client.close()

    def _is_sent(self, source: Source) -> bool:
        return self._sent is not None and self._sent.mark == source.newest()

    def _ask(self, vector: Vector, k: int, where: models.Filter | None) -> Found:
        with self._asking():
            answer = self._client.query_points(
                self._name, query=vector.tolist(), limit=k, query_filter=where, with_payload=False
            )
        return best_of(k, [(int(point.id), point.score) for point in answer.points])

    def _send(self, source: Source) -> Sent:
        sent, newest = self._said(), source.newest()
        if sent is None or sent.mark == START or not source.follows(sent.mark):
            if sent is not None and sent.mark != START:
                _log.warning("collection %s is sent to Qdrant anew: what is there is of another history", self._called)
            sent = self._make()
        # Also those that it was not told to have: an earlier sending may have been cut short after them.
        removed = [(change.first, change.last) for change in source.changes(sent.mark) if change.kind == "remove"]
        gone = spelled(merged(np.array(removed, dtype=np.int64).reshape(-1, 2)))
        for start in range(0, len(gone), DELETED_AT_ONCE):
            some = gone[start : start + DELETED_AT_ONCE].tolist()
            self._client.delete(self._name, points_selector=models.PointIdsList(points=some), wait=True)
        last_id = sent.last_id
        for ids, vectors in source.batches(SENT_AT_ONCE, after=sent.last_id):
            self._client.upsert(self._name, points=_points(ids, vectors), wait=True)
            last_id = int(ids[-1])
        done = Sent(newest.seq, newest.stamp, last_id)
        self._client.update_collection(self._name, metadata=msgspec.structs.asdict(done))
        return done

    def _said(self) -> Sent | None:
        """Return up to where Qdrant is complete; None where it has no such collection."""
        if not self._client.collection_exists(self._name):
            return None
        try:
            return msgspec.convert(self._client.get_collection(self._name).config.metadata or {}, Sent)
        except msgspec.ValidationError:
            return Sent()

    def _make(self) -> Sent:
        """Make the Qdrant collection, empty."""
        self._client.delete_collection(self._name)
        self._client.create_collection(
            self._name,
            vectors_config=models.VectorParams(size=self._dimensions, distance=models.Distance.COSINE),
            metadata=msgspec.structs.asdict(Sent()),
        )
        if not self._is_embedded:
            self._client.create_payload_index(self._name, ID, models.PayloadSchemaType.INTEGER)
        return Sent()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other process sends this collection's points."""
        if self._is_embedded:
            yield
            return
        try:
            self._sending.acquire(timeout=WAIT_S)
        except Timeout as exc:
            raise EngineError(
                f"collection {self._called!r} is still being sent to Qdrant by another process after {WAIT_S:g} s"
            ) from exc
        try:
            yield
        finally:
            self._sending.release()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            if self._is_embedded:
                with self._calling:
                    yield
            else:
                yield
        except (ApiException, QdrantException) as exc:
            is_gone = isinstance(exc, UnexpectedResponse) and exc.status_code == HTTPStatus.NOT_FOUND
            raise (_Gone if is_gone else EngineError)(
                f"Qdrant at {self._where} failed for collection {self._called!r}: {_reason(exc)}; see that it runs, or "
                "leave out index.engine"
            ) from exc


def _points(ids: Ids, vectors: Vector) -> Sequence[models.PointStruct]:
    return [
        models.PointStruct(id=id_, vector=row, payload={ID: id_})
        for id_, row in zip(ids.tolist(), vectors.tolist(), strict=True)
    ]


def _filter(within: Ranges) -> models.Filter:
    return models.Filter(
        should=[
            models.FieldCondition(key=ID, range=models.Range(gte=first, lte=last)) for first, last in within.tolist()
        ]
    )


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
