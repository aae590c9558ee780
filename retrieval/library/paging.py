"""Pages of a list by cursor, as OpenAI's: an object's id says where the page begins. Pure.

Rows carry a number that grows with each new one; a page is a window of these numbers.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")
Order = Literal["asc", "desc"]
LAST: Final = 2**63 - 1


class PageAsk(msgspec.Struct, frozen=True):
    """Which part of a list: at most `limit` objects behind `after`, or just before `before`, in this order."""

    limit: int = 20
    order: Order = "desc"
    after: str | None = None
    before: str | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some objects of a list, and whether more follow in the direction that was asked for."""

    items: tuple[T, ...]
    has_more: bool


class Window(msgspec.Struct, frozen=True):
    """Rows with low < seq < high, walked in `walk` order; is_backwards: the page is shown the other way round."""

    low: int
    high: int
    walk: Order
    is_backwards: bool


def window(ask: PageAsk, seq_of: Callable[[str, str], int]) -> Window:
    """Return the window of a page; `seq_of(id, parameter)` finds where an object stands, or raises."""
    is_descending = ask.order == "desc"
    low, high = 0, LAST
    for cursor, parameter in ((ask.after, "after"), (ask.before, "before")):
        if cursor is None:
            continue
        seq = seq_of(cursor, parameter)
        if (parameter == "after") == is_descending:
            high = min(high, seq)
        else:
            low = max(low, seq)
    is_backwards = ask.before is not None and ask.after is None
    walk: Order = "desc" if is_descending != is_backwards else "asc"
    return Window(low, high, walk, is_backwards)


def cut(found: Sequence[T], limit: int, *, is_backwards: bool) -> Page[T]:
    """Return the page of what was found, which is one more than the page holds if there are more."""
    items = found[:limit]
    return Page(tuple(reversed(items) if is_backwards else items), len(found) > limit)
