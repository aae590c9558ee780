"""OpenAI's `filters` on the attributes of files, as vector store search and the file_search tool take them. Pure."""

import math
from typing import Any, Final, get_args

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Compare, CompareOp, Compound, Filter, Scalar

MAX_DEPTH: Final = 8
MAX_FILTERS: Final = 128
MAX_VALUES: Final = 512
MAX_KEY: Final = 64
MAX_TEXT: Final = 512
MAX_INTEGER: Final = 2**53
_COMPARE: Final = frozenset(get_args(CompareOp))
_ORDERED: Final = frozenset({"gt", "gte", "lt", "lte"})
_ONE_OF: Final = frozenset({"in", "nin"})


def read_filter(value: Any, *, at: str = "filters") -> Filter:  # noqa: ANN401  (decoded JSON of any shape)
    """Return the filter that decoded JSON means; InvalidRequest names the part that means none."""
    return _Reader().read(value, at, 1)


def read_scalar(value: Any, *, at: str) -> Scalar:  # noqa: ANN401  (decoded JSON of any shape)
    """Return one value an attribute may have: a short text, a number that every client reads alike, true or false."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise _wrong(at, f"expected at most {MAX_TEXT} characters, but got {len(value)}")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if abs(value) > MAX_INTEGER and isinstance(value, int):
            raise _wrong(at, f"expected a number between -2**53 and 2**53, but got one of {len(str(value))} digits")
        if not math.isfinite(value):
            raise _wrong(at, "expected a finite number")
        return value
    raise _wrong(at, f"expected a string, a number or a boolean, but got {_kind(value)}", code="invalid_type")


class _Reader:
    """Counts what it reads, so that a small body cannot ask for endless work."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, value: Any, at: str, depth: int) -> Filter:  # noqa: ANN401
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_FILTERS:
            raise _wrong(at, f"expected at most {MAX_FILTERS} filters, nested at most {MAX_DEPTH} deep")
        if not isinstance(value, dict):
            raise _wrong(at, f"expected an object, but got {_kind(value)}", code="invalid_type")
        kind = value.get("type")
        if kind in ("and", "or"):
            return self._compound(value, at, depth)
        if isinstance(kind, str) and kind in _COMPARE:
            return _compare(value, at)
        known = ", ".join((*get_args(CompareOp), "and", "or"))
        raise _wrong(f"{at}.type", f"expected one of {known}")

    def _compound(self, value: dict[str, Any], at: str, depth: int) -> Compound:
        _check_keys(value, at, {"type", "filters"})
        parts = value["filters"]
        if not isinstance(parts, list) or not parts:
            raise _wrong(f"{at}.filters", "expected a list of one filter or more")
        read = (self.read(part, f"{at}.filters[{index}]", depth + 1) for index, part in enumerate(parts))
        return Compound(value["type"], tuple(read))


def _compare(value: dict[str, Any], at: str) -> Compare:
    _check_keys(value, at, {"type", "key", "value"})
    key, op, against = value["key"], value["type"], value["value"]
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY:
        raise _wrong(f"{at}.key", f"expected the name of an attribute, {MAX_KEY} characters at most")
    if op in _ONE_OF:
        if not isinstance(against, list) or len(against) > MAX_VALUES:
            raise _wrong(f"{at}.value", f"expected a list of at most {MAX_VALUES} values for '{op}'")
        values = (read_scalar(each, at=f"{at}.value[{index}]") for index, each in enumerate(against))
        return Compare(key, op, tuple(values))
    scalar = read_scalar(against, at=f"{at}.value")
    if op in _ORDERED and isinstance(scalar, bool):
        raise _wrong(f"{at}.value", f"expected a number or a string for '{op}', but got a boolean")
    return Compare(key, op, scalar)


def _check_keys(value: dict[str, Any], at: str, known: set[str]) -> None:
    for name in known - value.keys():
        raise InvalidRequest(
            f"missing required parameter: '{at}.{name}'", param=f"{at}.{name}", code="missing_required_parameter"
        )
    for name in value.keys() - known:
        shown = f"{at}.{name}"[:100]
        raise InvalidRequest(f"Unrecognized request argument supplied: {shown}", param=shown, code="unknown_parameter")


def _wrong(at: str, what: str, *, code: str = "invalid_value") -> InvalidRequest:
    return InvalidRequest(f"invalid '{at}': {what}", param=at, code=code)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")
