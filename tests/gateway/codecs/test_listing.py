import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.listing import read_page, read_query, read_word, render_page
from headrace.retrieval.library.paging import Page, PageAsk

KNOWN = frozenset({"limit", "order", "after", "before", "filter"})


def test_a_query_string_is_read() -> None:
    found = read_query(b"limit=5&order=asc&after=vs_1&before=vs_9", KNOWN)
    assert read_page(found, most=100, default=20) == PageAsk(5, "asc", "vs_1", "vs_9")
    assert read_page({}, most=100, default=20) == PageAsk(20, "desc")
    assert read_word(read_query(b"filter=failed", KNOWN), "filter", ("failed",)) == "failed"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (b"limit=0", "limit"),
        (b"limit=101", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=1e2", "limit"),
        (b"limit=%D9%A3", "limit"),
        (b"limit=" + b"9" * 128, "limit"),
        (b"limit=", "limit"),
        (b"limit=1&limit=2", "limit"),
        (b"order=up", "order"),
        (b"after=" + b"x" * 129, "after"),
        (b"cursor=1", "cursor"),
        (b"after=%FF", None),
        (b"\xff=1", None),
        (b"&".join(b"a=1" for _ in range(10_000)), None),
    ],
)
def test_what_a_list_cannot_be_asked_for_is_named(query: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_page(read_query(query, KNOWN), most=100, default=20)
    assert refused.value.param == param


def test_a_page_names_its_first_and_last_object() -> None:
    page = render_page(Page((1, 2, 3), has_more=True), lambda item: {"id": f"x{item}"})
    assert (page["first_id"], page["last_id"], page["has_more"], len(page["data"])) == ("x1", "x3", True, 3)
    empty = render_page(Page[int]((), has_more=False), lambda item: {"id": f"x{item}"})
    assert (empty["first_id"], empty["last_id"], empty["has_more"], empty["data"]) == (None, None, False, [])
