"""Plain scalars by YAML 1.2's core schema, and `${NAME}` from the environment.

YAML 1.1's surprises stay out: `no` and `on` are words, `1:30` is text, `1e-3` is a number. What comes from the
environment is put in after the file is parsed, so it can never add keys or lists.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Scalar = str | int | float | bool | None

MAX_INT: Final = 2**63 - 1
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INT: Final = re.compile(r"[-+]?[0-9]{1,19}")
_LONG_INT: Final = re.compile(r"[-+]?[0-9]{20,}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_VARIABLE: Final = re.compile(r"\$(?P<escaped>\$)?\{(?P<body>[^{}]*)\}")
_BODY: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class BadScalar(ValueError):
    """A scalar that cannot be a value; args are (what, cure)."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what, cure)
        self.what = what
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Text after the environment was put in; `from_env` is true when a variable's own value is part of it."""

    text: str
    from_env: bool


def resolve(text: str) -> Scalar:
    """Return what an unquoted scalar means; BadScalar for numbers that are not finite or over 64 bits."""
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        number = int(text)
        if abs(number) > MAX_INT:
            raise BadScalar("the number is over 64 bits", "use a smaller number, or quote it if it is text")
        return number
    if _LONG_INT.fullmatch(text):
        raise BadScalar("the number is over 64 bits", "use a smaller number, or quote it if it is text")
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise BadScalar("the number is not finite", "use a finite number, or quote it if it is text")
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def refuse_surrogates(text: str) -> None:
    """Raise BadScalar for text that no UTF-8 file or header can hold (a lone half of a surrogate pair)."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise BadScalar("the text holds half a character (a lone surrogate)", "write the whole character")


def interpolate(text: str, environ: Mapping[str, str]) -> Interpolated:
    """Put the environment into `${NAME}` and `${NAME:-default}`; `$${` is a literal `${`. BadScalar if unset.

    As in a shell, `:-` gives its default for an unset and for an empty variable.
    """
    seen: list[str] = []
    replaced = _VARIABLE.sub(_replacer(environ, seen), text)
    return Interpolated(replaced, from_env=bool(seen))


def _replacer(environ: Mapping[str, str], seen: list[str]) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        body = _BODY.fullmatch(match["body"])
        if body is None:
            raise BadScalar("`${...}` does not hold a variable name", "write ${NAME} or ${NAME:-default}")
        name, default = body["name"], body["default"]
        value = environ.get(name)
        if value or (value is not None and default is None):
            seen.append(name)
            return value
        if default is None:
            raise BadScalar(
                f"the environment variable {name} is not set", f"export {name}, or write ${{{name}:-default}}"
            )
        return default

    return replace
