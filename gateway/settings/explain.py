"""Pydantic's errors in the words of a config's author: what is wrong with the value, and the cure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.gateway.settings.problems import Keys, nearest, printable

_KEY_MARK: Final = "[key]"
_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "is_instance_of": "a number",
    "decimal_type": "a number",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "over"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "under"),
    "less_than_equal": ("le", "at most"),
}
_SEVERAL: Final = {" a list": "this list", " a mapping": "this mapping"}


def place_of(error: Mapping[str, Any]) -> tuple[Keys, bool]:
    """Return the path of an error and whether the key itself, not its value, is at fault."""
    keys = tuple(error["loc"])
    if keys and keys[-1] == _KEY_MARK:
        return keys[:-1], True
    return keys, error["type"] == "extra_forbidden"


def explain(error: Mapping[str, Any], schema: Mapping[str, Any], *, is_secret: bool) -> tuple[str, str]:
    """Return (what, cure) of one Pydantic error; a secret's value is never shown."""
    kind, context = str(error["type"]), error.get("ctx") or {}
    keys, _ = place_of(error)
    shown = "" if is_secret else f" {_show(error.get('input'))}"
    if kind == "extra_forbidden":
        what, cure = "unknown key", nearest(str(keys[-1]), known_keys(schema, keys[:-1]))
    elif kind == "missing":
        what, cure = f"the key {keys[-1]!r} is missing", f"write {keys[-1]}: ..."
    elif kind == "literal_error":
        words = _words(str(context.get("expected", "")))
        what, cure = f"the value{shown} is not a known word", nearest(str(error.get("input")), words)
    elif kind in _WANTED:
        what, cure = f"{_WANTED[kind]} is wanted, not{shown or ' this'}", _type_cure(kind)
    elif kind in _BOUNDS:
        name, words_of = _BOUNDS[kind]
        what, cure = f"the value{shown} is out of bounds", f"write a number {words_of} {context[name]}"
    elif kind in {"too_short", "too_long", "string_too_short", "string_too_long"}:
        bound = context.get("min_length", context.get("max_length"))
        what, cure = "the length is out of bounds", f"{'at least' if 'short' in kind else 'at most'} {bound} wanted"
    else:
        why = str(context["error"]) if kind == "value_error" else printable(str(error["msg"]), limit=160)
        what, cure = f"{_SEVERAL.get(shown, f'the value{shown}')} cannot be used", why
    return what, cure


def known_keys(schema: Mapping[str, Any], keys: Sequence[str | int]) -> list[str]:
    """Return the keys that the JSON Schema knows at a path."""
    node: Mapping[str, Any] = schema
    for key in keys:
        node = _open(schema, node)
        below = node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key)
        node = below or node.get("additionalProperties") or {}
    return list(_open(schema, node).get("properties", {}))


def _open(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    for option in node.get("anyOf", (node,)):
        reference = option.get("$ref")
        if reference is not None:
            found: Mapping[str, Any] = schema["$defs"][reference.rsplit("/", 1)[1]]
            return found
    return node


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]


def _show(value: object) -> str:
    if isinstance(value, str):
        return repr(printable(value))
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type_cure(kind: str) -> str:
    if kind == "string_type":
        return "put it in quotes if it is text"
    if kind in {"list_type", "dict_type", "model_type"}:
        return "write `[...]`" if kind == "list_type" else "write `key: value` lines below it"
    return "write it without quotes"
