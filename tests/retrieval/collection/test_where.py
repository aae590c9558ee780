import itertools
import sqlite3
from collections.abc import Iterator

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes, Chunk, Compare, Compound, Document, EmbedderId, Filter, Scalar
from headrace.retrieval.collection import reading, schema, writing
from headrace.retrieval.collection.where import MAX_DEPTH, MAX_VALUES, condition, typed
from tests.support.filters import passes

DOCUMENTS: dict[str, Attributes] = {
    "empty": {},
    "one": {"x": 1},
    "one and a half": {"x": 1.5, "y": "b"},
    "text one": {"x": "1", "y": "a"},
    "true": {"x": True, "y": "B"},
    "false": {"x": False},
    "minus": {"x": -2, "y": ""},
    "umlaut": {"x": "ä", "y": "zz"},
    "quote": {"x": "'; DROP TABLE documents; --", "y": 'a"b'},
}


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 1), "")
    for name, attributes in DOCUMENTS.items():
        document = Document(name, name, "0", "x", (Chunk("x", 0, 1, 1),), attributes)
        writing.put(connection, document, [b"\0\0\x80?"], 0.0)
    yield connection
    connection.close()


def found(connection: sqlite3.Connection, where: Filter) -> set[str]:
    names = dict(connection.execute("SELECT first, id FROM documents"))
    return {names[first] for first, _ in reading.ranges(connection, where).tolist()}


VALUES: tuple[Scalar, ...] = (
    1,
    1.0,
    1.5,
    -2,
    "1",
    "a",
    "b",
    "",
    "ä",
    True,
    False,
    "'; DROP TABLE documents; --",
    'a"b',
)


@pytest.mark.parametrize("op", ["eq", "ne"])
@pytest.mark.parametrize(("key", "value"), list(itertools.product(("x", "y", "z", "x' OR 1 --"), VALUES)))
def test_equality_is_typed_and_absence_passes_only_inequality(
    connection: sqlite3.Connection, key: str, value: Scalar, op: str
) -> None:
    where = Compare(key, "eq" if op == "eq" else "ne", value)
    assert found(connection, where) == {name for name, has in DOCUMENTS.items() if passes(where, has)}


@pytest.mark.parametrize("op", ["gt", "gte", "lt", "lte"])
@pytest.mark.parametrize("value", [one for one in VALUES if not isinstance(one, bool)])
def test_numbers_and_strings_are_ordered_each_among_themselves(
    connection: sqlite3.Connection, value: Scalar, op: str
) -> None:
    where = Compare("x", op, value)  # type: ignore[arg-type]  # the parameters are the words themselves
    assert found(connection, where) == {name for name, has in DOCUMENTS.items() if passes(where, has)}


@pytest.mark.parametrize("op", ["in", "nin"])
@pytest.mark.parametrize("values", [(), (1,), ("1", 1), (True, "a", 1.5), ("no such",)])
def test_a_list_matches_any_of_its_values(connection: sqlite3.Connection, values: tuple[Scalar, ...], op: str) -> None:
    where = Compare("x", "in" if op == "in" else "nin", values)
    assert found(connection, where) == {name for name, has in DOCUMENTS.items() if passes(where, has)}


def test_the_empty_and_is_true_and_the_empty_or_is_false(connection: sqlite3.Connection) -> None:
    assert found(connection, Compound("and", ())) == set(DOCUMENTS)
    assert found(connection, Compound("or", ())) == set()


def test_an_and_inside_an_or_binds_as_written(connection: sqlite3.Connection) -> None:
    inner = Compound("and", (Compare("x", "eq", 1.5), Compare("y", "eq", "b")))
    assert found(connection, Compound("or", (Compare("x", "eq", 1), inner))) == {"one", "one and a half"}
    inner = Compound("or", (Compare("x", "eq", 1), Compare("x", "eq", 1.5)))
    assert found(connection, Compound("and", (Compare("y", "eq", "b"), inner))) == {"one and a half"}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Compare("x", "in", 1), "one value; in takes a list"),
        (Compare("x", "eq", (1, 2)), "has a list; eq takes one value"),
        (Compare("x", "gt", value=True), "orders true and false"),
        (Compare("x", "eq", float("nan")), "is nan"),
        (Compare("x", "lt", "\ud800"), "surrogate"),
        (Compare("x", "in", tuple(range(MAX_VALUES))), f"over {MAX_VALUES} values"),
    ],
)
def test_what_no_filter_can_be_is_refused(where: Filter, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        condition(where)


def test_deep_nesting_is_refused_before_the_database_sees_it() -> None:
    where: Filter = Compare("x", "eq", 1)
    for _ in range(MAX_DEPTH - 1):
        where = Compound("and", (where,))
    condition(where)
    with pytest.raises(InvalidRequest, match="nested"):
        condition(Compound("or", (where,)))


def test_a_value_says_its_type() -> None:
    assert [typed(value, name="it") for value in ("a", 2, 2.5, True)] == [
        ("string", "a"),
        ("number", 2.0),
        ("number", 2.5),
        ("boolean", 1.0),
    ]
    for value in (10**400, None, [1]):
        with pytest.raises(InvalidRequest, match="it is "):
            typed(value, name="it")  # type: ignore[arg-type]  # what a caller may send all the same
