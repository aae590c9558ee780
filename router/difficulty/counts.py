"""Cheap counts of a question: length, digits, code marks, formulae, choices. Each is squashed to about 0..1."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

# What is counted byte by byte.
_CLASSES: Final = {
    "lines": "\n",
    "digits": "0123456789",
    "questions": "?",
    "sentences": ".!",
    "commas": ",;",
    "operators": "+-*/^=<>%",
    "braces": "{}[]()_",
    "backslashes": "\\",
    "dollars": "$",
    "quotes": "\"'",
    "backticks": "`",
    "spaces": " \t\n",
    "capitals": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_SPACES: Final = tuple(_CLASSES).index("spaces")
_SHAPES: Final = ("bias", "length", "short", "numbers", "choices", "code_lines", "non_ascii", "word_length")
COUNT_NAMES: Final = (*_SHAPES, *_CLASSES)

_CHOICE_MARKS: Final = ("\nA. ", "\nB. ", "\nC. ", "\nD. ", "\nA) ", "\nB) ", "\nC) ", "\nD) ")
_CODE_MARKS: Final = ("```", "def ", "return ", "import ", "class ", "function", "();", "#include", "SELECT ", "=>")


def counts(text: str, total_chars: int) -> npt.NDArray[np.float32]:
    """Return one float per name of COUNT_NAMES for a text already cut; `total_chars` is its length before that."""
    raw = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    histogram = np.bincount(raw, minlength=256).astype(np.float32)
    result = np.empty(len(COUNT_NAMES), dtype=np.float32)
    by_class = result[len(_SHAPES) :]
    histogram.dot(_CLASS_TABLE, out=by_class)
    is_digit = _IS_DIGIT[raw]
    numbers = np.count_nonzero(is_digit[1:] > is_digit[:-1]) + int(text[:1].isdigit())
    words = 1.0 + float(by_class[_SPACES])
    result[: len(_SHAPES)] = (
        1.0,
        math.log1p(total_chars) / 8.0,
        1.0 / (1.0 + words / 8.0),
        math.log1p(numbers) / 3.0,
        sum(mark in text for mark in _CHOICE_MARKS) / 4.0,
        sum(mark in text for mark in _CODE_MARKS) / 4.0,
        float(histogram[128:].sum()) / max(1, raw.size),
        min(raw.size / words, 16.0) / 16.0,
    )
    np.log1p(by_class, out=by_class)
    by_class /= 4.0
    return result


def _class_table() -> npt.NDArray[np.float32]:
    table = np.zeros((256, len(_CLASSES)), dtype=np.float32)
    for column, members in enumerate(_CLASSES.values()):
        table[np.frombuffer(members.encode(), dtype=np.uint8), column] = 1.0
    return table


_CLASS_TABLE: Final = _class_table()
_IS_DIGIT: Final = _CLASS_TABLE[:, tuple(_CLASSES).index("digits")] > 0
