"""A rule's `when` from plain YAML values to a Condition: signals with operators under all, any and not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not, Operator, Scalar, Signal
from headrace.gateway.settings.problems import Keys, Report, nearest, printable

SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
GROUPS: Final = ("all", "any", "not")
NAMED: Final = frozenset({"metadata", "header"})
MAX_PARTS: Final = 64

_FRACTIONS: Final = frozenset({"difficulty", "retrieval_support"})
_NUMBERS: Final = _FRACTIONS | {"prompt_tokens", "turns"}
_FLAGS: Final = frozenset({"unfamiliar", "tools", "json"})
_EQUALITY: Final[tuple[Operator, ...]] = ("eq", "in", "present")

_COMPARISON_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "eq": {"type": ["string", "number", "boolean"]},
        "in": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
        **{op: {"type": "number"} for op in ("gt", "gte", "lt", "lte")},
        "present": {"type": "boolean"},
    },
}
_NAMED_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": _COMPARISON_SCHEMA,
}
CONDITION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "all": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Condition"}},
        "any": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Condition"}},
        "not": {"$ref": "#/$defs/Condition"},
        **{signal: _NAMED_SCHEMA if signal in NAMED else _COMPARISON_SCHEMA for signal in SIGNALS},
    },
}


@dataclass(frozen=True, slots=True)
class _At:
    """A place in the document, and who is told about it."""

    path: Keys
    report: Report

    def below(self, key: str | int) -> "_At":
        return _At((*self.path, key), self.report)

    def say(self, what: str, cure: str, *, at_key: bool = False) -> None:
        self.report(self.path, what, cure, at_key=at_key)


def parse_condition(value: object, path: Keys, report: Report) -> Condition | None:
    """Return the condition, or None after `report` was told every problem found below `path`."""
    return _condition(value, _At(path, report))


def _condition(value: object, at: _At) -> Condition | None:
    found = _single(value, at, "condition")
    if found is None:
        return None
    word, inner = found
    below = at.below(word)
    if word in {"all", "any"}:
        return _group(word, inner, below)
    if word == "not":
        part = _condition(inner, below)
        return None if part is None else Not(part)
    return _signal(word, inner, below)


def _signal(word: str, inner: object, at: _At) -> Condition | None:
    if word not in SIGNALS:
        at.say(f"unknown signal {printable(word)!r}", nearest(word, (*SIGNALS, *GROUPS)), at_key=True)
        return None
    if word not in NAMED:
        return _comparisons(word, None, inner, at)
    named = _single(inner, at, f"{word} name")
    if named is None:
        return None
    name, ops = named
    return _comparisons(word, name.lower() if word == "header" else name, ops, at.below(name))


def _single(value: object, at: _At, what: str) -> tuple[str, object] | None:
    if isinstance(value, Mapping) and len(value) == 1:
        key, inner = next(iter(value.items()))
        return str(key), inner
    if isinstance(value, Mapping) and len(value) > 1:
        at.say(f"one {what} is wanted, {len(value)} are here", "put each in its own `{}` in a list under `all:`")
    else:
        at.say(f"a {what} is a mapping such as {{difficulty: {{gt: 0.5}}}}", "write one, or leave `when` out")
    return None


def _group(word: str, inner: object, at: _At) -> Condition | None:
    if not isinstance(inner, list) or not inner or len(inner) > MAX_PARTS:
        at.say(f"`{word}` wants a list of 1 to {MAX_PARTS} conditions", f"write {word}: [{{...}}, {{...}}]")
        return None
    parts = [_condition(part, at.below(index)) for index, part in enumerate(inner)]
    good = tuple(part for part in parts if part is not None)
    if len(good) < len(parts):
        return None
    return AllOf(good) if word == "all" else AnyOf(good)


def _comparisons(signal: Signal, name: str | None, ops: object, at: _At) -> Condition | None:
    if not isinstance(ops, Mapping) or not ops:
        at.say(f"{signal} wants an operator and a value", f"write {signal}: {{{_example(signal)}}}")
        return None
    parts = [_comparison(signal, name, (str(op), value), at.below(str(op))) for op, value in ops.items()]
    good = tuple(part for part in parts if part is not None)
    if len(good) < len(parts):
        return None
    return good[0] if len(good) == 1 else AllOf(good)


def _example(signal: Signal) -> str:
    if signal in _NUMBERS:
        return "gt: 0.5" if signal in _FRACTIONS else "gt: 100"
    return "eq: true" if signal in _FLAGS else "eq: word"


def _comparison(signal: Signal, name: str | None, pair: tuple[str, object], at: _At) -> Comparison | None:
    op, value = pair
    allowed = OPERATORS if signal in _NUMBERS else _EQUALITY
    if op not in OPERATORS or op not in allowed:
        known = (
            f"{signal} has no operator {printable(op)!r}" if op in OPERATORS else f"unknown operator {printable(op)!r}"
        )
        at.say(known, nearest(op, allowed), at_key=True)
        return None
    if op != "in":
        scalar = _scalar(signal, op, value, at)
        return None if scalar is None else Comparison(signal, op, scalar, name)
    if not isinstance(value, list) or not value or len(value) > MAX_PARTS:
        at.say(f"`in` wants a list of 1 to {MAX_PARTS} values", "write in: [one, other]")
        return None
    items = tuple(_scalar(signal, op, item, at.below(index)) for index, item in enumerate(value))
    good = tuple(item for item in items if item is not None)
    return Comparison(signal, op, good, name) if len(good) == len(items) else None


def _scalar(signal: Signal, op: Operator, value: object, at: _At) -> Scalar | None:
    if op == "present" or signal in _FLAGS:
        if isinstance(value, bool):
            return value
        at.say(f"{signal} {op} wants true or false", "write true or false, without quotes")
        return None
    if signal in _NUMBERS:
        return _number(signal, value, at)
    if isinstance(value, str) and value:
        return value
    at.say(f"{signal} {op} wants text", "write a word, in quotes if it looks like a number")
    return None


def _number(signal: Signal, value: object, at: _At) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        at.say(f"{signal} is compared with a number", "write a number, without quotes")
        return None
    if signal in _FRACTIONS and not 0 <= value <= 1:
        at.say(f"{signal} lies in 0..1, not {value}", "write a number from 0 to 1")
        return None
    if signal not in _FRACTIONS and (not isinstance(value, int) or value < 0):
        at.say(f"{signal} counts whole things, not {value}", "write a whole number from 0 on")
        return None
    return value
