"""Bounds on JSON Schemas that callers send: engines compile them, so size, depth, references, patterns are checked.

What is refused: references out of the document, references that only lead back to themselves or recurse, and
regular expressions that can take exponential time. Nothing is ever fetched.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from headrace.contracts.errors import InvalidRequest

MAX_BYTES: Final = 100_000
MAX_DEPTH: Final = 32
MAX_PATTERN: Final = 512

_LOOKS_AROUND: Final = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]|\(\?P=")
_GROUP: Final = re.compile(r"\((?:\\.|[^()\\])*\)[*+{]")
_REPEATS: Final = re.compile(r"(?<!\\)(?:\\\\)*[*+|]|(?<!\\)(?:\\\\)*\{\d*,")


def check_schema(schema: object, *, at: str) -> None:
    """Refuse a schema an engine should not be made to compile; InvalidRequest names the place below `at`."""
    if not isinstance(schema, dict):
        raise InvalidRequest(f"invalid type for '{at}': expected an object", param=at, code="invalid_type")
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        raise InvalidRequest(f"'{at}' is larger than {MAX_BYTES} bytes", param=at, code="schema_too_large")
    references: dict[str, set[str]] = {}
    for path, key, value in _walk(schema, "#", 0, at):
        if key in {"$ref", "$dynamicRef", "$recursiveRef"}:
            _check_reference(value, at)
            references.setdefault(path, set()).add(str(value))
        elif key == "pattern":
            _check_pattern(value, at)
        elif key == "patternProperties" and isinstance(value, Mapping):
            for pattern in value:
                _check_pattern(pattern, at)
    _check_recursion(references, at)


def _walk(node: object, path: str, depth: int, at: str) -> Iterator[tuple[str, str, object]]:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"'{at}' is nested deeper than {MAX_DEPTH} levels", param=at, code="schema_too_deep")
    if isinstance(node, dict):
        for key, value in node.items():
            yield path, key, value
            yield from _walk(value, f"{path}/{key}", depth + 1, at)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, f"{path}/{index}", depth + 1, at)


def _check_reference(value: object, at: str) -> None:
    if not isinstance(value, str) or not value.startswith("#"):
        raise InvalidRequest(
            f"'{at}' refers to another document; only references that start with '#' are followed",
            param=at,
            code="remote_reference",
        )


def _check_recursion(references: Mapping[str, set[str]], at: str) -> None:
    edges: dict[str, set[str]] = {}
    for target in {target for targets in references.values() for target in targets}:
        inside = (f"{target}/", target)
        edges[target] = {
            leads
            for path, targets in references.items()
            if path == inside[1] or path.startswith(inside[0])
            for leads in targets
        }
    if any(_reaches_itself(start, edges) for start in edges):
        raise InvalidRequest(
            f"'{at}' refers to itself; recursive schemas are not taken", param=at, code="recursive_schema"
        )


def _reaches_itself(start: str, edges: Mapping[str, set[str]]) -> bool:
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        here = waiting.pop()
        if here == start or start.startswith(f"{here}/"):
            return True
        if here not in seen:
            seen.add(here)
            waiting.extend(edges.get(here, ()))
    return False


def _check_pattern(value: Any, at: str) -> None:  # noqa: ANN401  (whatever the caller sent)
    if not isinstance(value, str) or len(value) > MAX_PATTERN:
        raise InvalidRequest(f"a pattern in '{at}' is not a text of at most {MAX_PATTERN} characters", param=at)
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as exc:
        raise InvalidRequest(f"a pattern in '{at}' is not a regular expression: {exc}", param=at) from exc
    if _LOOKS_AROUND.search(value) or _nests_repeats(value):
        raise InvalidRequest(
            f"a pattern in '{at}' could take unbounded time (a repeat inside a repeated group, a look-around or a "
            "back-reference); write it without",
            param=at,
            code="unsafe_pattern",
        )


def _nests_repeats(pattern: str) -> bool:
    """Tell whether a repeated group holds a repeat or an alternation, innermost groups first."""
    while match := _GROUP.search(pattern):
        inner = match.group()[1 : match.group().rindex(")")].removeprefix("?:")
        if _REPEATS.search(inner):
            return True
        pattern = pattern[: match.start()] + "x+" + pattern[match.end() :]
    flat = re.sub(r"\((?:\\.|[^()\\])*\)", lambda m: "x+" if _REPEATS.search(m.group()) else "x", pattern)
    return flat != pattern and _nests_repeats(flat)
