import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest

from headrace.contracts.retrieval import EmbedderId
from headrace.retrieval.collection import schema, writing
from headrace.retrieval.collection.reading import Stored
from headrace.retrieval.nearest.source import START, Mark, Source
from tests.support.collections import document, turned
from tests.support.vectors import Memory


@pytest.fixture(params=["memory", "database"])
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    """Ids 1 to 3 and 4 to 5 were put, then the first were removed and 6 put."""
    if request.param == "memory":
        memory = Memory(4)
        memory.add(3)
        memory.add(2)
        memory.remove(1, 3)
        memory.add(1)
        yield memory
        return
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 4), "")
    for name, texts in {"a": "xyz", "b": "xy", "c": "x"}.items():
        writing.put(connection, document(name, texts), [turned(0)] * len(texts), 0.0)
        if name == "b":
            writing.remove(connection, "a")
    yield Stored(connection, 4)
    connection.close()


def test_it_tells_what_changed_after_a_place(source: Source) -> None:
    everything = source.changes(START)
    assert [(change.kind, change.first, change.last) for change in everything] == [
        ("add", 1, 3),
        ("add", 4, 5),
        ("remove", 1, 3),
        ("add", 6, 6),
    ]
    assert source.changes(everything[1].mark) == everything[2:]
    assert everything[-1].mark == source.newest()


def test_it_knows_its_own_places_and_no_others(source: Source) -> None:
    newest = source.newest()
    assert source.follows(START)
    assert source.follows(newest)
    assert not source.follows(Mark(newest.seq, newest.stamp ^ 1))
    assert not source.follows(Mark(newest.seq + 1, newest.stamp))


def test_it_gives_the_vectors_there_are_by_id(source: Source) -> None:
    assert (source.count(), source.last_id()) == (3, 6)
    batches = list(source.batches(2))
    assert [ids.tolist() for ids, _ in batches] == [[4, 5], [6]]
    assert [ids.tolist() for ids, _ in source.batches(10, after=4)] == [[5, 6]]
    ids, vectors = source.these(np.array([6, 1, 4], dtype=np.int64))
    assert ids.tolist() == [4, 6]
    for ranges in ([[1, 4], [6, 90]], [[4, 4], [6, 6]]):
        assert source.within(np.array(ranges, dtype=np.int64))[0].tolist() == [4, 6]
    assert vectors.shape == (2, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
