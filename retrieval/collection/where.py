"""From a filter over attributes to SQL over the `documents` table. Pure: values only ever become parameters.

Attributes are typed: a number is never equal to a string or to true, and only strings and numbers have an order
(numbers by size, strings by code point). A document without the attribute, or with one of another type, passes only
`ne` and `nin`.
"""

import math
from typing import Final, Literal

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Compare, Compound, Filter, Scalar

MAX_DEPTH: Final = 16
MAX_VALUES: Final = 10_000
_ORDER: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Kind = Literal["string", "number", "boolean"]
Parameter = str | float


def typed(value: Scalar, *, name: str) -> tuple[Kind, Parameter]:
    """Return the type of an attribute's value and the value as SQLite keeps it; name: how to call it in an error."""
    if isinstance(value, bool):
        return "boolean", float(value)
    if isinstance(value, str):
        if value.isascii() or _is_unicode(value):
            return "string", value
        raise InvalidRequest(f"{name} holds half a surrogate pair; send valid Unicode", param=name)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise InvalidRequest(f"{name} is {value!r}; a value is a string, a number or true or false", param=name)
    return "number", number


def condition(where: Filter) -> tuple[str, list[Parameter]]:
    """Return an SQL condition on `documents.row` and its parameters; InvalidRequest for what no attribute can be."""
    parameters: list[Parameter] = []
    sql = _condition(where, parameters, MAX_DEPTH)
    if len(parameters) > MAX_VALUES:
        raise InvalidRequest(f"the filter has over {MAX_VALUES} values; use fewer", param="filters")
    return sql, parameters


def _condition(where: Filter, parameters: list[Parameter], depth: int) -> str:
    if depth == 0:
        raise InvalidRequest(f"the filter is nested over {MAX_DEPTH} deep; make it flatter", param="filters")
    if isinstance(where, Compare):
        return _compare(where, parameters)
    return _compound(where, parameters, depth)


def _compound(where: Compound, parameters: list[Parameter], depth: int) -> str:
    parts = [_condition(part, parameters, depth - 1) for part in where.filters]
    if not parts:
        return "1" if where.op == "and" else "0"
    return f"({f' {where.op.upper()} '.join(parts)})"


def _compare(where: Compare, parameters: list[Parameter]) -> str:
    value, op = where.value, where.op
    name = f"the filter on {where.key!r}"
    if op in {"in", "nin"}:
        if not isinstance(value, tuple):
            raise InvalidRequest(f"{name} has one value; {op} takes a list", param="filters")
        return _any_of(where.key, value, parameters, negated=op == "nin")
    if isinstance(value, tuple):
        raise InvalidRequest(f"{name} has a list; {op} takes one value", param="filters")
    if op in {"eq", "ne"}:
        return _any_of(where.key, (value,), parameters, negated=op == "ne")
    kind, bound = typed(value, name=name)
    if kind == "boolean":
        raise InvalidRequest(f"{name} orders true and false; {op} takes a string or a number", param="filters")
    parameters += [where.key, kind, bound]
    return _documents(f"kind = ? AND value {_ORDER[op]} ?", negated=False)


def _any_of(key: str, values: tuple[Scalar, ...], parameters: list[Parameter], *, negated: bool) -> str:
    if not values:
        return "1" if negated else "0"
    parameters.append(key)
    by_kind: dict[Kind, list[Parameter]] = {}
    for value in values:
        kind, bound = typed(value, name=f"the filter on {key!r}")
        by_kind.setdefault(kind, []).append(bound)
    tests = []
    for kind, bounds in by_kind.items():
        parameters += [kind, *bounds]
        tests.append(f"(kind = ? AND value IN ({', '.join('?' * len(bounds))}))")
    return _documents(f"({' OR '.join(tests)})", negated=negated)


def _documents(test: str, *, negated: bool) -> str:
    word = "NOT IN" if negated else "IN"
    return f"documents.row {word} (SELECT document FROM attributes WHERE key = ? AND {test})"  # noqa: S608  (no values)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
