import sqlite3
from collections.abc import Iterator

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.collection import schema, writing
from tests.support.collections import EMBEDDER, document, turned, vector

COUNTS = """
SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM attributes), (SELECT count(*) FROM chunks),
       (SELECT count(*) FROM vectors)
"""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EMBEDDER, "")
    yield connection
    connection.close()


def rows(connection: sqlite3.Connection) -> list[int]:
    return list(connection.execute(COUNTS).fetchone())


def test_every_table_gets_its_rows_and_loses_them_again(connection: sqlite3.Connection) -> None:
    writing.put(connection, document("a", ["x", "y"], {"n": 1, "s": "t"}), [turned(0), turned(1)], 12.5)
    writing.put(connection, document("b", ["z"], {"n": 2}), [turned(2)], 12.5)
    assert rows(connection) == [2, 3, 3, 3]
    assert writing.remove(connection, "a")
    assert rows(connection) == [1, 1, 1, 1]
    assert writing.remove(connection, "b")
    assert not writing.remove(connection, "b")
    assert rows(connection) == [0, 0, 0, 0]
    connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def test_a_documents_passages_have_consecutive_ids_never_used_again(connection: sqlite3.Connection) -> None:
    for _ in range(3):
        writing.put(connection, document("a", ["x", "y"]), [turned(0), turned(1)], 0.0)
    assert connection.execute("SELECT id FROM chunks ORDER BY id").fetchall() == [(5,), (6,)]
    assert connection.execute("SELECT first, last, added FROM documents").fetchall() == [(5, 6, 0.0)]
    writing.remove(connection, "a")
    writing.put(connection, document("a", ["x"]), [turned(0)], 0.0)
    assert connection.execute("SELECT id FROM chunks").fetchall() == [(7,)]


def test_only_what_moves_vectors_is_listed_as_a_change(connection: sqlite3.Connection) -> None:
    writing.put(connection, document("a", ["x"]), [turned(0)], 0.0)
    writing.annotate(connection, "a", {"k": "v"})
    writing.put(connection, document("empty", []), [], 0.0)
    writing.remove(connection, "empty")
    assert connection.execute("SELECT seq, kind, first, last FROM changes").fetchall() == [(1, "add", 1, 1)]


def test_the_list_of_changes_is_bounded(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_CHANGES", 4)
    for _ in range(5):
        writing.put(connection, document("a", ["x"]), [turned(0)], 0.0)
    assert connection.execute("SELECT seq FROM changes").fetchall() == [(6,), (7,), (8,), (9,)]


def test_annotating_replaces_all_attributes(connection: sqlite3.Connection) -> None:
    writing.put(connection, document("a", ["x"], {"old": 1, "both": 1}), [turned(0)], 0.0)
    assert writing.annotate(connection, "a", {"both": "two", "new": True})
    assert connection.execute("SELECT key, kind, value FROM attributes ORDER BY key").fetchall() == [
        ("both", "string", "two"),
        ("new", "boolean", 1.0),
    ]
    assert not writing.annotate(connection, "b", {})


@pytest.mark.parametrize("attributes", [{"k": float("nan")}, {"k": None}, {"k": [1]}, {"\ud800": 1}])
def test_an_attribute_that_cannot_be_is_refused_before_anything_changes(
    connection: sqlite3.Connection, attributes: dict[str, float]
) -> None:
    writing.put(connection, document("a", ["x"], {"k": 1}), [turned(0)], 0.0)
    with pytest.raises(InvalidRequest):
        writing.put(connection, document("a", ["y"], attributes), [turned(0)], 0.0)
    with pytest.raises(InvalidRequest):
        writing.annotate(connection, "a", attributes)
    assert connection.execute("SELECT text, attributes FROM documents").fetchall() == [("x", '{"k":1}')]


def test_vectors_are_brought_to_length_one() -> None:
    (scaled,) = writing.unit([bytes(4) + b"\0\0\x80\x40" + bytes(8)], 4)  # 0, 4, 0, 0
    assert scaled == vector(0, 1)
    assert writing.unit([], 4) == []
