"""Words and sentences of a text, and how much of one is found in another. Pure; English stop words, any script.

Used to check citations and to tell whether documents speak of a question at all; never to rank passages.
"""

# ruff: noqa: RUF001  (full-width stops and printed quotes end sentences too)

import re
from collections.abc import Iterator
from typing import Final

MAX_SENTENCE_CHARS: Final = 1_000

_WORD: Final = re.compile(r"\w+(?:[.,]\d+)*")
_END: Final = re.compile(
    r"(?<=[.!?])([\"'”’)\]]*)\s+(?=[\"'“‘(\[]?[A-Z0-9À-ÞА-Я\u0400-\uffff])|(?<=[。！？])([”’」』）]*)|()\n+"
)
_STOP_WORDS: Final = """
a about after all also an and any are as at be been before being but by can could did do does done each for from
had has have he her here his how i if in into is it its just may me many might more most much must my no nor not of on
one only or other our out over own said same say says she should so some such than that the their them then there
these they this those through to too under up upon us very was we were what when where which while who whom whose
why will with would yes you your
according answer document documents passage passages question tell tells
"""
_MIN_WORD: Final = 2
_STEMMED: Final = 4
_STOP: Final = frozenset(_STOP_WORDS.split())


def words(text: str) -> frozenset[str]:
    """Return the words that carry meaning, in lower case and without a plural's s."""
    return frozenset(_stem(word) for word in _WORD.findall(text.casefold()) if _carries(word))


def numbers(text: str) -> frozenset[str]:
    """Return every number of the text."""
    return frozenset(word for word in _WORD.findall(text) if word[0].isdigit())


def coverage(wanted: frozenset[str], found: frozenset[str]) -> float:
    """Return the share of the wanted words that was found, 0..1; 0 where nothing is wanted."""
    return len(wanted & found) / len(wanted) if wanted else 0.0


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence or line; an endless one is cut between words."""
    at = 0
    ends = [(match.end(match.lastindex or 0), match.end()) for match in _END.finditer(text)]
    for end, after in [*ends, (len(text), len(text))]:
        while at < end:
            cut = end if end - at <= MAX_SENTENCE_CHARS else text.rfind(" ", at + 1, at + MAX_SENTENCE_CHARS)
            cut = cut if cut > at else at + MAX_SENTENCE_CHARS
            if stripped := text[at:cut].strip():
                begin = text.index(stripped[0], at)
                yield begin, begin + len(stripped)
            at = cut
        at = max(at, after)


def _carries(word: str) -> bool:
    return word not in _STOP and (len(word) >= _MIN_WORD or word.isdigit() or not word.isascii())


def _stem(word: str) -> str:
    is_plural = len(word) > _STEMMED and word[-1] == "s" and word[-2] not in "su"
    return word[:-1] if is_plural else word
