"""JSON that must be unambiguous: one decoder for every request body, whose errors speak OpenAI's language.

Refused here: invalid UTF-8, a byte-order mark, NaN and Infinity, lone surrogates, repeated keys, nesting beyond the
bound, numbers nobody can hold. Types and bounds of fields stand in the structs of codecs/
"""

import json
import re
from typing import Final, Never, TypeVar

import msgspec

from headrace.contracts.errors import InvalidRequest

T = TypeVar("T")

_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key` in `)?\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_TYPE: Final = re.compile(r"^Expected `(.+?)`, got `(.+?)`$")
_BOUND: Final = re.compile(r"^Expected `(.+?)` (.+)$")
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')
_KINDS: Final = {"int": "integer", "str": "string", "float": "number", "bool": "boolean"}


def decode(body: bytes, decoder: msgspec.json.Decoder[T], *, max_depth: int) -> T:
    """Return the body as the decoder's type.

    Raises InvalidRequest whose `param` is the path of the offending field, as OpenAI writes it (`messages[0].role`).
    """
    check_depth(body, max_depth)
    try:
        text = body.decode()
        value = decoder.decode(body)
        _FIND_REPEATS(text)
    except msgspec.ValidationError as exc:
        raise translate(exc) from exc
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"the body is not valid UTF-8 at byte {exc.start}") from exc
    except (msgspec.DecodeError, ValueError) as exc:
        raise InvalidRequest(f"the body could not be read as JSON: {_parse_error(exc)}") from exc
    return value


def convert(value: object, shape: type[T], *, at: str) -> T:
    """Return an already decoded part of a body as `shape`; errors name the path below `at`."""
    try:
        return msgspec.convert(value, type=shape)
    except msgspec.ValidationError as exc:
        raise translate(exc, at=at) from exc


def check_depth(body: bytes, limit: int) -> None:
    """Refuse a body nested deeper than `limit`, without recursing."""
    if body.count(b"{") + body.count(b"[") <= limit:
        return
    depth = 0
    for match in _BRACKETS.finditer(body):
        symbol = body[match.start()]
        if symbol in b"[{":
            depth += 1
            if depth > limit:
                raise InvalidRequest(f"the body is nested deeper than {limit} levels")
        elif symbol in b"]}":
            depth -= 1


def translate(error: msgspec.ValidationError, *, at: str = "") -> InvalidRequest:
    """Say what msgspec found in OpenAI's words, with `param` and `code`."""
    match = _PLACE.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    path = (at + path.replace("[...]", "")).lstrip(".")
    if unknown := _UNKNOWN.match(what):
        return _unknown_field(_join(path, unknown[1]))
    if missing := _MISSING.match(what):
        name = _join(path, missing[1])
        return InvalidRequest(f"missing required parameter: '{name}'", param=name, code="missing_required_parameter")
    param = path or None
    where = f"'{path}'" if path else "the body"
    if kinds := _TYPE.match(what):
        text = f"invalid type for {where}: expected {_kind(kinds[1])}, but got {_kind(kinds[2])}"
        return InvalidRequest(text, param=param, code="invalid_type")
    if bound := _BOUND.match(what):
        return InvalidRequest(
            f"invalid {where}: expected {_kind(bound[1])} {bound[2]}", param=param, code="invalid_value"
        )
    return InvalidRequest(f"invalid {where}: {what[:1].lower()}{what[1:]}", param=param, code="invalid_value")


def _unknown_field(name: str) -> InvalidRequest:
    shown = name[:100]
    return InvalidRequest(f"Unrecognized request argument supplied: {shown}", param=shown, code="unknown_parameter")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(words: str) -> str:
    names = [_KINDS.get(word, word) for word in words.split(" | ")]
    return " or ".join(names)


def _parse_error(exc: Exception) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg.lower()} (byte {exc.pos})"
    text = str(exc)
    if "truncated" in text:
        return "it ends too early, or holds an unpaired surrogate"
    return text.removeprefix("JSON is malformed: ")


def _refuse_repeats(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len(dict(pairs)) != len(pairs):
        _name_repeat(pairs)


def _name_repeat(pairs: list[tuple[str, object]]) -> Never:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidRequest(f"the key '{key[:100]}' stands twice in one object", param=key[:100])
        seen.add(key)
    raise InvalidRequest("a key stands twice in one object")


_FIND_REPEATS: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeats).decode
