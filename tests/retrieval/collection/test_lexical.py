import sqlite3
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.retrieval import Chunk, Compare, Document, EmbedderId
from headrace.retrieval.collection import lexical, schema, writing

TEXTS = {
    "leave": "Every employee takes thirty days of paid leave in a year.",
    "travel": "Travelling by train is paid in second class; running late is no excuse.",
    "syntax": "NEAR and NOT and OR are words too. foo_bar calls C++ in 日本語 with naïve café résumés.",
    "stop": "to be or not to be",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 1), "")
    for name, text in TEXTS.items():
        put(connection, name, text)
    yield connection
    connection.close()


def put(connection: sqlite3.Connection, name: str, text: str, heading: str = "") -> None:
    document = Document(name, name, "0", text, (Chunk(text, 0, len(text), 1, heading),), {"name": name})
    writing.put(connection, document, [b"\0\0\x80?"], 0.0)


def found(connection: sqlite3.Connection, query: str, **where: str) -> list[str]:
    (test,) = [Compare(key, "eq", value) for key, value in where.items()] or [None]
    names = dict(connection.execute("SELECT first, id FROM documents"))
    results = lexical.search(connection, query, 10, test)
    assert [score for _, score in results] == sorted((score for _, score in results), reverse=True)
    assert all(score >= 0 for _, score in results)
    return [names[id_] for id_, _ in results]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("How many days of leave does an employee get?", "leave"),
        ("travel", "travel"),
        ("runs late", "travel"),
        ("NAIVE cafe resume", "syntax"),
        ("foo_bar", "syntax"),
        ("日本語", "syntax"),
        ("to be or not to be", "stop"),
        ("Travelling", "travel"),
    ],
)
def test_words_are_found_in_any_form(connection: sqlite3.Connection, query: str, first: str) -> None:
    assert found(connection, query)[0] == first


@pytest.mark.parametrize(
    "query",
    ['"', '"leave', 'leave"', "leave AND", "NEAR(leave days, 2)", "text:leave", "lea*", "^leave", "leave NOT days",
     "(leave", "leave)", "-leave", "leave\0days", "{text} : leave", "leave + days", "leave OR", "'leave'; DROP TABLE"],
)  # fmt: skip
def test_nothing_is_syntax(connection: sqlite3.Connection, query: str) -> None:
    assert ("leave" in found(connection, query)) is ("leave" in query)


@pytest.mark.parametrize("query", ["", " ", "\0", "\N{GRINNING FACE}", "?!", '"" *', "\ud800", "_"])
def test_a_query_without_words_finds_nothing(connection: sqlite3.Connection, query: str) -> None:
    assert found(connection, query) == []


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_is_an_error(connection: sqlite3.Connection, query: str) -> None:
    found(connection, query)


@pytest.mark.parametrize("most_listed", [0, 20_000])
def test_only_documents_that_pass_are_found(
    connection: sqlite3.Connection, most_listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "MOST_LISTED", most_listed)
    assert set(found(connection, "paid")) == {"leave", "travel"}
    assert found(connection, "paid", name="travel") == ["travel"]
    assert found(connection, "paid", name="syntax") == []


def test_stop_words_count_only_when_there_is_nothing_else() -> None:
    assert lexical.words_of("What is the leave, and why?") == ["leave"]
    assert lexical.words_of("To be or not to be") == ["to", "be", "or", "not"]
    assert lexical.words_of("leave Leave LEAVE days") == ["leave", "days"]


def test_of_very_long_text_the_rare_words_are_kept_and_it_stays_quick(connection: sqlite3.Connection) -> None:
    started = time.perf_counter()
    assert found(connection, " ".join(f"w{number}" for number in range(10_000)) + " employee") == ["leave"]
    assert found(connection, "paid " * 10_000) == found(connection, "paid")
    assert time.perf_counter() - started < 2.0


def test_of_very_many_passages_only_those_with_a_rarer_word_are_scored_with_all_their_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 1), "")
    for number in range(40):
        put(connection, f"d{number}", "common" + " rare" * (number in {7, 8}) + " third" * (number == 8))
    whole = found(connection, "common rare third")
    assert whole[:2] == ["d8", "d7"]
    assert len(whole) == 10
    names = dict(connection.execute("SELECT first, id FROM documents"))
    full = lexical.search(connection, "common rare third", 2, None)
    monkeypatch.setattr(lexical, "MOST_SCORED", 5)
    monkeypatch.setattr(lexical, "SCORED_FOR_EACH", 1)
    assert lexical.search(connection, "common rare third", 2, None) == full
    assert [names[id_] for id_, _ in lexical.search(connection, "common rare third", 6, None)] == ["d8", "d7"]
    assert len(lexical.search(connection, "common", 6, None)) == 6
    connection.close()


def test_headings_and_names_are_searched_too() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 1), "")
    put(connection, "handbook", "Thirty days.", "Policies > Leave")
    put(connection, "other", "Nothing.")
    assert found(connection, "leave") == ["handbook"]
    assert found(connection, "handbook") == ["handbook"]
    connection.close()


def test_equal_scores_come_in_the_order_of_ids() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection, EmbedderId("tiny", "0", 1), "")
    for name in ("c", "a", "b"):
        put(connection, name, "same words here")
    assert found(connection, "words") == ["c", "a", "b"]
    connection.close()
