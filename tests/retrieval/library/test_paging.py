from collections.abc import Callable

import pytest

from headrace.retrieval.library.paging import Order, PageAsk, cut, window

ALL = list(range(1, 11))


def page(ask: PageAsk) -> tuple[list[int], bool]:
    part = window(ask, lambda cursor, _: int(cursor))
    rows = [seq for seq in ALL if part.low < seq < part.high]
    rows = sorted(rows, reverse=part.walk == "desc")[: ask.limit + 1]
    found = cut(rows, ask.limit, is_backwards=part.is_backwards)
    return list(found.items), found.has_more


def test_the_first_page_is_the_newest_first() -> None:
    assert page(PageAsk(3)) == ([10, 9, 8], True)
    assert page(PageAsk(3, "asc")) == ([1, 2, 3], True)


def test_after_goes_on_in_either_order() -> None:
    assert page(PageAsk(3, "desc", after="8")) == ([7, 6, 5], True)
    assert page(PageAsk(3, "asc", after="8")) == ([9, 10], False)


def test_before_is_the_page_just_in_front_shown_in_the_same_order() -> None:
    assert page(PageAsk(3, "desc", before="5")) == ([8, 7, 6], True)
    assert page(PageAsk(3, "asc", before="5")) == ([2, 3, 4], True)
    assert page(PageAsk(9, "asc", before="3")) == ([1, 2], False)


def test_between_two_cursors() -> None:
    assert page(PageAsk(9, "desc", after="8", before="4")) == ([7, 6, 5], False)
    assert page(PageAsk(9, "asc", after="4", before="8")) == ([5, 6, 7], False)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 10, 11])
def test_pages_together_are_the_whole_list_once(order: Order, limit: int) -> None:
    seen: list[int] = []
    after, more = None, True
    while more:
        items, more = page(PageAsk(limit, order, after=after))
        seen += items
        after = str(items[-1])
    assert seen == (ALL if order == "asc" else ALL[::-1])


def test_an_unknown_cursor_is_told_by_its_parameter() -> None:
    def unknown(cursor: str, parameter: str) -> int:
        raise LookupError(cursor, parameter)

    find: Callable[[str, str], int] = unknown
    with pytest.raises(LookupError, match="before"):
        window(PageAsk(before="x"), find)
