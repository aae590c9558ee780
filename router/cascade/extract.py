"""What an answer comes down to: a number, a letter, yes or no, code, else its words. Two answers agree where this does.

Written for comparing answers with each other, not for grading them: nothing here knows what is right.
"""

import re
from decimal import Decimal
from typing import Final

MAX_CHARS: Final = 20_000  # of an answer, from its end: what it comes down to stands last
MAX_ANSWER_CHARS: Final = 400

_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_TAGGED = re.compile(r"\[ANSWER\](.*?)(?:\[/ANSWER\]|\Z)", re.DOTALL | re.IGNORECASE)
_MARKER = re.compile(r"####|\b(?:answer|option|choice)\b(?:\s+(?:is|would\s+be|should\s+be))?\s*[:=]?", re.IGNORECASE)
_LETTER_ALONE = re.compile(r"\(?([A-Z])\)?[.:]?")
_LETTER_FIRST = re.compile(r"(?:\(([A-Z])\)|([A-Z])[).:](?!\w))\s*\S", re.DOTALL)
_WORD_FIRST = re.compile(r"(yes|no|maybe|true|false)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?")
_LITERAL = re.compile(r"""[\[({"'].*[\])}"']""", re.DOTALL)
_MARKS: Final = " \t\n*_`$."


def extract_answer(text: str) -> str:
    r"""Return what the text answers, in one spelling; empty for an empty text. Pure.

    Looked for in this order, in the last part that the text itself announces as its answer (`\boxed{}`, `####`, "the
    answer is", `[ANSWER]`), else in all of it: a letter of a choice, yes/no/maybe/true/false at the beginning, a
    bracketed or quoted literal, the last number (of an announced answer the first one after any `=`). A text of none
    of these kinds is its words, in lower case.
    """
    text = text[-MAX_CHARS:]
    announced = _announced(text)
    if announced is not None:
        return _short(announced, number=0) or _words(announced)
    if blocks := _FENCE.findall(text):
        return _words(blocks[-1], is_code=True)
    return _short(text) or _words(text)


def _announced(text: str) -> str | None:
    """Return the last announced answer; a marker that announces nothing readable is none."""
    for pattern in (_BOXED, _TAGGED):
        found = [part for part in pattern.findall(text) if part.strip(_MARKS)]
        if found:
            return str(found[-1]).rpartition("=")[2]
    for after in reversed(_MARKER.split(text)[1:]):
        line = after.strip(_MARKS).partition("\n")[0].rpartition("=")[2]
        if _short(line):
            return line
    return None


def _short(part: str, *, number: int = -1) -> str:
    """Return the answer of a kind with one spelling, empty where the part is none; number: which of several counts."""
    bare = part.strip(_MARKS)
    if letter := _LETTER_ALONE.fullmatch(bare):
        return letter.group(1)
    if letter := _LETTER_FIRST.match(bare):
        return letter.group(1) or letter.group(2)
    if word := _WORD_FIRST.match(bare):
        return word.group(1).lower()
    if _LITERAL.fullmatch(bare):
        return _words(bare, is_code=True)
    numbers = _NUMBER.findall(bare)
    return _number(numbers[number]) if numbers else ""


def _number(text: str) -> str:
    """Return a number in one spelling: no thousands marks, no currency, no trailing zeros."""
    value = Decimal(text.replace(",", "").replace("$", "")).normalize()  # to 28 digits
    return f"{value or Decimal(0):f}"[:MAX_ANSWER_CHARS]


def _words(text: str, *, is_code: bool = False) -> str:
    """Return the words in lower case without marks; code and literals keep their case and marks."""
    if is_code:
        return " ".join(text.split())[:MAX_ANSWER_CHARS]
    words = re.findall(r"\w+", text.casefold())
    return " ".join(word for word in words if word not in {"a", "an", "the"})[:MAX_ANSWER_CHARS]
