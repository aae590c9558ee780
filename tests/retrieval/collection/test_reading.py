import sqlite3
from collections.abc import Iterator

import pytest

from headrace.contracts.retrieval import Compare
from headrace.retrieval.collection import reading, schema, writing
from tests.support.collections import EMBEDDER, document, turned


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EMBEDDER, "")
    for name in ("b", "a", "c"):
        texts = [f"{name} one", f"{name} two"]
        writing.put(connection, document(name, texts, {"name": name, "n": 3}), [turned(0), turned(1)], 7.5)
    yield connection
    connection.close()


def test_documents_are_told_of_a_page_at_a_time(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 2)
    assert [info.id for info in reading.documents(connection, "")] == ["a", "b"]
    (last,) = reading.documents(connection, "b")
    assert (last.id, last.chunks, last.added, last.attributes) == ("c", 2, 7.5, {"name": "c", "n": 3})


def test_passages_come_in_the_order_asked_for_without_those_that_are_gone(connection: sqlite3.Connection) -> None:
    found = reading.passages(connection, [6, 99, 1, 6])
    assert [(passage.id, passage.document, passage.text) for passage in found] == [
        (6, "c", "c two"),
        (1, "b", "b one"),
        (6, "c", "c two"),
    ]
    assert found[0].attributes == {"name": "c", "n": 3}
    assert reading.passages(connection, []) == []


def test_text_is_whole_or_none(connection: sqlite3.Connection) -> None:
    assert reading.text(connection, "a") == "a one\na two"
    assert reading.text(connection, "d") is None


def test_a_filter_becomes_ranges_of_ids(connection: sqlite3.Connection) -> None:
    assert reading.ranges(connection, Compare("name", "in", ("a", "b"))).tolist() == [[1, 2], [3, 4]]
    assert reading.ranges(connection, Compare("name", "eq", "z")).tolist() == []
    assert reading.ranges(connection, Compare("name", "eq", "z")).shape == (0, 2)
