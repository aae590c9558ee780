"""Cheap counts of a question: length, digits, code marks, formulae, choices. Each is squashed to about 0..1."""

import math
import re
from typing import Final

import numpy as np
import numpy.typing as npt

# What is counted byte by byte.
_CLASSES: Final = {
    "lines": b"\n",
    "digits": b"0123456789",
    "questions": b"?",
    "sentences": b".!",
    "commas": b",;",
    "operators": b"+-*/^=<>%",
    "braces": b"{}[]()_",
    "backslashes": b"\\",
    "dollars": b"$",
    "quotes": b"\"'",
    "backticks": b"`",
    "spaces": b" \t",  # and lines
    "capitals": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_PLACE_OF: Final = bytes(
    next((place for place, members in enumerate(_CLASSES.values()) if byte in members), len(_CLASSES))
    for byte in range(256)
)
_UNCLASSED: Final = bytes(byte for byte in range(256) if _PLACE_OF[byte] == len(_CLASSES))
_ONLY_DIGITS: Final = bytes(byte if byte in _CLASSES["digits"] else ord(" ") for byte in range(256))
_ASCII: Final = bytes(range(128))
_SHAPES: Final = ("bias", "length", "short", "numbers", "choices", "code_lines", "non_ascii", "word_length")
COUNT_NAMES: Final = (*_SHAPES, *_CLASSES)

_CHOICE_MARK: Final = re.compile(r"\n[A-D][.)] ")
_CODE_WORDS: Final = ("def ", "return ", "import ", "class ", "function", "#include", "SELECT ")
_CODE_SIGNS: Final = {"```": "backticks", "();": "braces", "=>": "operators"}  # and what must occur where they do


def counts(text: str, total_chars: int) -> npt.NDArray[np.float32]:
    """Return one float per name of COUNT_NAMES for a text already cut; `total_chars` is its length before that."""
    raw = text.encode("utf-8", "replace")
    size = len(raw)
    places = raw.translate(_PLACE_OF, _UNCLASSED)
    by_class = {name: places.count(place) for place, name in enumerate(_CLASSES)}
    by_class["spaces"] += by_class["lines"]
    words = 1.0 + by_class["spaces"]
    numbers = len(raw.translate(_ONLY_DIGITS).split()) if by_class["digits"] else 0
    code_marks = [word in text for word in _CODE_WORDS].count(True)
    code_marks += [by_class[name] > 0 and sign in text for sign, name in _CODE_SIGNS.items()].count(True)
    shapes = (
        1.0,
        math.log1p(total_chars) / 8.0,
        1.0 / (1.0 + words / 8.0),
        math.log1p(numbers) / 3.0,
        len(set(_CHOICE_MARK.findall(text))) / 4.0 if by_class["lines"] else 0.0,
        code_marks / 4.0,
        0.0 if text.isascii() else len(raw.translate(None, _ASCII)) / size,
        min(size / words, 16.0) / 16.0,
    )
    return np.array((*shapes, *[math.log1p(count) / 4.0 for count in by_class.values()]), dtype=np.float32)
