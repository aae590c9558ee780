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
_SPACES: Final = tuple(_CLASSES).index("spaces")
_LINES: Final = tuple(_CLASSES).index("lines")
_MARKS: Final = tuple(bytes((number,)) for number in range(1, len(_CLASSES) + 1))
_MARK_OF: Final = bytes(
    next((mark[0] for mark, members in zip(_MARKS, _CLASSES.values(), strict=True) if byte in members), 0)
    for byte in range(256)
)
_ASCII: Final = bytes(range(128))
_SHAPES: Final = ("bias", "length", "short", "numbers", "choices", "code_lines", "non_ascii", "word_length")
COUNT_NAMES: Final = (*_SHAPES, *_CLASSES)

_NUMBER: Final = re.compile(rb"[0-9]+")
_CHOICE_MARKS: Final = ("\nA. ", "\nB. ", "\nC. ", "\nD. ", "\nA) ", "\nB) ", "\nC) ", "\nD) ")
_CODE_MARKS: Final = ("```", "def ", "return ", "import ", "class ", "function", "();", "#include", "SELECT ", "=>")


def counts(text: str, total_chars: int) -> npt.NDArray[np.float32]:
    """Return one float per name of COUNT_NAMES for a text already cut; `total_chars` is its length before that.

    On bytes and strings, not arrays: a dozen scans in C cost less than as many array operations.
    """
    raw = text.encode("utf-8", "replace")
    size = len(raw)
    by_class = [*map(raw.translate(_MARK_OF).count, _MARKS)]
    by_class[_SPACES] += by_class[_LINES]
    words = 1.0 + by_class[_SPACES]
    shapes = (
        1.0,
        math.log1p(total_chars) / 8.0,
        1.0 / (1.0 + words / 8.0),
        math.log1p(len(_NUMBER.findall(raw))) / 3.0,
        [mark in text for mark in _CHOICE_MARKS].count(True) / 4.0 if by_class[_LINES] else 0.0,
        [mark in text for mark in _CODE_MARKS].count(True) / 4.0,
        0.0 if text.isascii() else len(raw.translate(None, _ASCII)) / size,
        min(size / words, 16.0) / 16.0,
    )
    return np.array((*shapes, *[math.log1p(count) / 4.0 for count in by_class]), dtype=np.float32)
