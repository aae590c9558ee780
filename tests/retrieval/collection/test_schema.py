import sqlite3
from collections.abc import Iterator

import msgspec
import pytest

from headrace.contracts.errors import NotFound, StoreError
from headrace.contracts.retrieval import EmbedderId
from headrace.retrieval.collection import schema

EMBEDDER = EmbedderId("all-minilm-l6-v2", "ab" * 32, 384)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def test_what_was_created_says_what_it_is(connection: sqlite3.Connection) -> None:
    assert not schema.exists(connection)
    made = schema.create(connection, EMBEDDER, "200 tokens")
    assert schema.exists(connection)
    assert schema.read(connection, "handbook") == made
    assert (made.format, made.embedder, made.chunking, len(made.identity)) == (1, EMBEDDER, "200 tokens", 32)


def test_creation_is_one_transaction(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    schema.create(connection, EMBEDDER, "")
    connection.execute("ROLLBACK")
    with pytest.raises(NotFound, match="no collection 'handbook'; make it with `headrace index add handbook FOLDER`"):
        schema.read(connection, "handbook")


@pytest.mark.parametrize("value", ["2", "null"])
def test_another_format_is_refused(connection: sqlite3.Connection, value: str) -> None:
    schema.create(connection, EMBEDDER, "")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (value,))
    with pytest.raises(StoreError, match=f"'handbook' has format {value}, this headrace reads format 1"):
        schema.read(connection, "handbook")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM meta WHERE key = 'embedder'", "UPDATE meta SET value = '{' WHERE key = 'identity'"]
)
def test_a_database_that_does_not_say_what_it_holds_is_refused(connection: sqlite3.Connection, statement: str) -> None:
    schema.create(connection, EMBEDDER, "")
    connection.execute(statement)
    with pytest.raises(StoreError, match="does not say what it holds"):
        schema.read(connection, "handbook")


@pytest.mark.parametrize("changed", [{"model": "other"}, {"sha256": "cd" * 32}, {"dimensions": 768}])
def test_another_embedder_is_refused_with_the_command_that_rebuilds(
    connection: sqlite3.Connection, changed: dict[str, str | int]
) -> None:
    meta = schema.create(connection, EMBEDDER, "")
    schema.check(meta, EMBEDDER, "", "handbook")
    other = msgspec.structs.replace(EMBEDDER, **changed)
    with pytest.raises(StoreError, match="run `headrace index rebuild handbook` to embed its documents anew") as raised:
        schema.check(meta, other, "", "handbook")
    assert "all-minilm-l6-v2 (384 dimensions, weights abababababab)" in str(raised.value)


def test_another_chunking_is_refused_where_both_say_theirs(connection: sqlite3.Connection) -> None:
    meta = schema.create(connection, EMBEDDER, "200 tokens")
    schema.check(meta, EMBEDDER, "", "handbook")
    schema.check(msgspec.structs.replace(meta, chunking=""), EMBEDDER, "100 tokens", "handbook")
    with pytest.raises(StoreError, match="was cut with 200 tokens, this is 100 tokens; run `headrace index rebuild"):
        schema.check(meta, EMBEDDER, "100 tokens", "handbook")
