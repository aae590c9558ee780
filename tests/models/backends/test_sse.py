import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import BackendProtocol
from headrace.models.backends.sse import SseParser

STREAM = (
    "\ufeff: hello\r\n\r\n"
    'data: {"a": "é€😀"}\r\n\r\n'
    "data: one\rdata: two\r\r"
    "event: x\nid: 3\ndata:tight\n\n"
    "\n\n: ping\n\ndata\n\ndata: [DONE]\n\n"
).encode()
EVENTS = ['{"a": "é€😀"}'.encode(), b"one\ntwo", b"tight", b"", b"[DONE]"]


def parse(pieces: list[bytes]) -> list[bytes]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_line_ends_comments_multi_line_data_and_bom_are_understood() -> None:
    assert parse([STREAM]) == EVENTS


def test_single_bytes_give_the_same_events() -> None:
    assert parse([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in itertools.pairwise(edges)]) == EVENTS


@given(
    st.lists(st.text(st.sampled_from("ab: \u20ac"), max_size=6), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_what_was_written_is_read_back_however_it_is_cut(texts: list[str], end: str, cuts: list[int]) -> None:
    wire = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    edges = sorted({0, len(wire), *(min(cut, len(wire)) for cut in cuts)})
    assert parse([wire[a:b] for a, b in itertools.pairwise(edges)]) == [t.encode() for t in texts]


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_no_bytes_break_the_parser_and_splits_never_matter(pieces: list[bytes]) -> None:
    assert parse(pieces) == parse([b"".join(pieces)])


def test_an_event_that_never_ends_is_refused_at_the_bound() -> None:
    parser = SseParser(max_event_bytes=1000)
    parser.feed(b"data: ")
    for _ in range(9):
        parser.feed(b"x" * 100)
    with pytest.raises(BackendProtocol, match="over 1000 bytes"):
        parser.feed(b"x" * 100)


def test_a_last_event_without_blank_line_is_given_by_flush_once() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n\ndata: b\n") == [b"a"]
    assert parser.flush() == b"b"
    assert parser.flush() is None
