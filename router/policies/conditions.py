"""What a rule's condition means on the features of a request. Reachability reasons with the same `compare`."""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, cast

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not, Operator, Scalar, Signal
from headrace.contracts.routing import Features

Kind = Literal["fraction", "optional", "count", "flag", "text", "named"]

KINDS: Final[Mapping[Signal, Kind]] = {
    "difficulty": "fraction",  # a number in 0..1
    "retrieval_support": "optional",  # a number in 0..1, or absent
    "prompt_tokens": "count",  # whole numbers from 0
    "turns": "count",
    "unfamiliar": "flag",  # true or false
    "tools": "flag",
    "json": "flag",
    "domain": "text",
    "language": "text",
    "key": "text",
    "tenant": "text",
    "metadata": "named",  # text under a name, or absent
    "header": "named",
}


ORDER: Final[Mapping[Operator, Callable[[float, float], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def holds(condition: Condition, features: Features) -> bool:
    """Tell whether the condition holds for these features. Pure."""
    if isinstance(condition, Comparison):
        return compare(condition.op, signal_value(condition, features), condition.value)
    match condition:
        case AllOf():
            return all(holds(part, features) for part in condition.parts)
        case AnyOf():
            return any(holds(part, features) for part in condition.parts)
        case Not():
            return not holds(condition.part, features)


def signal_value(comparison: Comparison, features: Features) -> Scalar | None:
    """Return the value the comparison looks at; None where the request does not carry it."""
    if comparison.signal == "metadata":
        return features.metadata.get(comparison.name or "")
    if comparison.signal == "header":
        return features.headers.get(comparison.name or "")
    return cast("Scalar", getattr(features, comparison.signal))


def compare(op: Operator, actual: Scalar | None, wanted: Scalar | tuple[Scalar, ...]) -> bool:
    """Apply one operator. An absent value satisfies nothing but `present: false`; order exists between numbers only."""
    if op == "present":
        return is_present(actual) == bool(wanted)
    if actual is None:
        return False
    if op == "eq":
        return actual == wanted
    if op == "in":
        return isinstance(wanted, tuple) and actual in wanted
    if not (is_number(actual) and is_number(wanted)):
        return False
    return ORDER[op](cast("float", actual), cast("float", wanted))


def is_present(actual: Scalar | None) -> bool:
    """A flag is present when it is true, text when it is not empty; a number always is."""
    if isinstance(actual, (bool, str)):
        return bool(actual)
    return actual is not None


def is_number(value: object) -> bool:
    """True for int and float; a bool is a flag, not a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def mentions(condition: Condition | None, signal: Signal) -> bool:
    """Tell whether the condition looks at the signal anywhere."""
    return any(comparison.signal == signal for comparison in comparisons(condition))


def comparisons(condition: Condition | None) -> Iterator[Comparison]:
    """Yield every comparison of the condition, from left to right."""
    match condition:
        case None:
            return
        case Comparison():
            yield condition
        case Not():
            yield from comparisons(condition.part)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from comparisons(part)
