"""Query strings of lists and the pages they ask for, in OpenAI's cursor style. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import parse_qsl

from headrace.contracts.chat import JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.library.paging import Page, PageAsk

T = TypeVar("T")
MAX_PARAMETERS: Final = 16
MAX_VALUE: Final = 128
_ORDERS: Final = ("asc", "desc")


def read_query(query: bytes, known: frozenset[str]) -> dict[str, str]:
    """Return the parameters of a query string, each one known and there once."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as exc:
        raise InvalidRequest("the query string cannot be read: too many parameters, or no valid UTF-8") from exc
    found: dict[str, str] = {}
    for name, value in pairs:
        shown = name[:100]
        if name not in known:
            raise InvalidRequest(
                f"Unrecognized request argument supplied: {shown}", param=shown, code="unknown_parameter"
            )
        if name in found:
            raise InvalidRequest(f"'{name}' stands twice in the query string", param=name)
        if not 1 <= len(value) <= MAX_VALUE:
            raise _wrong(name, f"1 to {MAX_VALUE} characters")
        found[name] = value
    return found


def read_page(found: Mapping[str, str], *, most: int, default: int) -> PageAsk:
    """Return the page that a list is asked for."""
    limit = found.get("limit", str(default))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= most):
        raise _wrong("limit", f"a whole number from 1 to {most}")
    order = read_word(found, "order", _ORDERS) or "desc"
    return PageAsk(int(limit), cast("Literal['asc', 'desc']", order), found.get("after"), found.get("before"))


def read_word(found: Mapping[str, str], name: str, words: tuple[str, ...]) -> str | None:
    """Return one of the words, None where the parameter is not there."""
    value = found.get(name)
    if value is not None and value not in words:
        raise _wrong(name, f"one of {', '.join(words)}")
    return value


def render_page(page: Page[T], render: Callable[[T], JsonObject]) -> JsonObject:
    """Return OpenAI's list object."""
    data: list[dict[str, Any]] = [render(item) for item in page.items]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": page.has_more,
    }


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"invalid '{name}': expected {what}", param=name, code="invalid_value")
