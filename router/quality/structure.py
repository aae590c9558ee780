"""The shape of a question: lengths, numbers, punctuation, kinds of words, its choices. No vocabulary is learned.

Shape carries over to subjects and sources that training never met, which words do not (docs/router-evaluation.md has
the comparison). Every feature is a count, a length or a share of 0 or more, given as ln(1 + x).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_CHARS: Final = 2000
LONG_WORD: Final = 8
VERY_LONG_WORD: Final = 11
SHORT_CHOICE: Final = 20

_WORD_KINDS: Final = {
    "negations": "not except never no cannot neither least incorrect false",
    "superlatives": "most best primarily likely mainly main largest greatest first highest",
    "suppositions": "if suppose would assume assuming given let consider imagine",
    "what": "what",
    "which": "which",
    "who": "who whom whose",
    "how": "how",
    "why": "why",
    "when_or_where": "when where",
    "following": "following",
    "statements": "statement statements",
    "true_or_false": "true false",
    "computing": (
        "calculate compute find determine evaluate solve value equation many much total number sum average mean "
        "percent percentage probability per each twice half rate ratio"
    ),
    "comparisons": (
        "more less than fewer increase decrease increases decreases change changes higher lower"
    ),
    "reasons": "because therefore since thus due cause causes reason",
    "persons": "i my me we you your he she his her they their",
    "modals": "should must can could may might will",
    "quantifiers": "all some every any none only both always",
    "times": "year years day days hour hours week minutes month months old age",
    "money": "dollars dollar cost costs price pay buy buys sell sells money tax interest market",
    "conjunctions": "and or",
    "articles": "the a an of",
    "pointers": "that which who this these it",
}  # fmt: skip
_LENGTHS: Final = (
    "chars", "stem_chars", "words", "stem_words", "distinct_words", "word_chars", "longest_word", "long_words",
    "very_long_words",
)  # fmt: skip
_NUMBERS: Final = ("numbers", "longest_number", "decimals", "percents", "dollars", "fractions")
_MARKS: Final = {
    "full_stops": ".", "question_marks": "?", "commas": ",", "colons": ":", "lines": "\n", "quotes": '"',
    "parentheses": "(", "blanks": "_", "operators": "=<>^+*/",
}  # fmt: skip
_ENDS: Final = ("ends_in_question", "ends_in_colon", "ends_in_stop", "ends_in_letter")
_MORE: Final = ("dates", "non_ascii", "single_letters", "braces")
_CHOICES: Final = (
    "choices", "choice_chars", "longest_choice", "choice_spread", "choices_with_digits", "number_choices",
    "catch_all_choices", "formula_choices", "shared_by_choices", "shared_with_stem", "choice_words",
    "choice_lengths", "verdict_choices",
)  # fmt: skip
NAMES: Final = (*_LENGTHS, *_NUMBERS, *_MARKS, *_ENDS, *_MORE, *_WORD_KINDS, *_CHOICES)

_KINDS_OF: Final = {
    word.encode(): bytes(place for place, words in enumerate(_WORD_KINDS.values()) if word in words.split())
    for word in {word for words in _WORD_KINDS.values() for word in words.split()}
}
_CHOICE: Final = re.compile(r"\n[a-j][.)] ?")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_DIGIT: Final = re.compile(r"\d")
_FRACTION: Final = re.compile(r"\d/\d")
# Two patterns, each with a first letter to look for: that is many times as fast as one that may begin anywhere.
_YEARS: Final = (re.compile(r"1(?<=\b1)\d\d\d\b"), re.compile(r"20(?<=\b20)\d\d\b"))
_NUMBER_CHOICE: Final = re.compile(r"[-+$]?[\d.,/%]+")
_NO_CHOICES: Final = (0.0,) * len(_CHOICES)

# Tables for bytes.translate, with what it is to leave out: much faster than to look at characters one by one.
_BYTES: Final = range(256)
_ASCII: Final = bytes(range(128))
_LETTERS: Final = bytes(byte if chr(byte) in "abcdefghijklmnopqrstuvwxyz'" else ord(" ") for byte in _BYTES)
_FIGURES: Final = bytes(byte if chr(byte) in "0123456789.,/" else ord(" ") for byte in _BYTES)
_MARKS_AND_SIGNS: Final = (*_MARKS.values(), "%", "$")
_PLACE_OF: Final = bytes(
    next((place for place, marks in enumerate(_MARKS_AND_SIGNS) if chr(byte) in marks), len(_MARKS_AND_SIGNS))
    for byte in _BYTES
)
_QUOTES: Final = tuple(_MARKS).index("quotes")
_WIDE_QUOTE: Final = "“"
_UNMARKED: Final = bytes(byte for byte in _BYTES if _PLACE_OF[byte] == len(_MARKS_AND_SIGNS))

Floats = npt.NDArray[np.float32]


def structure(text: str) -> Floats:
    """Return one float per name of NAMES. What stands after the first 2,000 characters counts by its length alone.

    Neither blanks round the text nor capitals count, for people leave them out as they please.
    """
    text = text.strip()
    seen = text[:MOST_CHARS].lower()
    stem, *choices = _CHOICE.split(seen)
    choices = [choice.replace("\nanswer:", "").strip() for choice in choices] if len(choices) > 1 else []
    raw = _bytes(stem)
    letters, *letters_by_choice = (part.translate(_LETTERS) for part in (raw, *map(_bytes, choices)))
    stem_words = letters.split()
    by_choice = [*map(bytes.split, letters_by_choice)]
    by_size = _by_size(letters)
    *marks, percents, dollars = _marks(stem, raw)
    values = [
        len(text),
        len(stem),
        *_lengths(stem_words, by_choice, _by_size(b" ".join((letters, *letters_by_choice))) if choices else by_size),
        *_numbers(_figures(stem, raw), percents, dollars),
        *marks,
        *_end(stem),
        sum(len(years.findall(seen)) for years in _YEARS),
        0 if seen.isascii() else len(seen) - len(seen.encode("ascii", "ignore")),
        by_size[1],
        sum(map(seen.count, "\\{}[]")),
        *_kinds(stem_words),
        *(_choices(choices, by_choice, stem_words) if choices else _NO_CHOICES),
    ]
    return np.log1p(np.array(values, dtype=np.float32))


def _bytes(text: str) -> bytes:
    """Return the text as bytes; no character beyond ASCII yields a byte of ASCII, not even half of a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def _by_size(letters: bytes) -> list[int]:
    """Return how many words have 0, 1, 2 ... letters, from a text in which all else is a blank."""
    is_letter = np.frombuffer(b" " + letters + b" ", dtype=np.uint8) != ord(" ")
    edges = (is_letter[1:] != is_letter[:-1]).nonzero()[0]
    found: list[int] = np.bincount(edges[1::2] - edges[::2], minlength=2).tolist()
    return found


def _lengths(
    stem_words: Sequence[bytes], by_choice: Sequence[Sequence[bytes]], by_size: Sequence[int]
) -> tuple[float, ...]:
    words = sum(by_size)
    count = max(words, 1)
    return (
        words,
        len(stem_words),
        len(set(stem_words).union(*by_choice)) / count,
        sum(size * often for size, often in enumerate(by_size)) / count,
        len(by_size) - 1 if words else 0,
        sum(by_size[LONG_WORD:]) / count,
        sum(by_size[VERY_LONG_WORD:]),
    )


def _figures(stem: str, raw: bytes) -> str:
    """Return the stem reduced to what stands in numbers, which is soon searched; digits beyond ASCII need it whole."""
    if not stem.isascii() and _DIGIT.search(raw.translate(None, _ASCII).decode("utf-8", "surrogatepass")):
        return stem
    return b" ".join(raw.translate(_FIGURES).split()).decode()


def _numbers(figures: str, percents: int, dollars: int) -> tuple[float, ...]:
    found = _NUMBER.findall(figures)
    return (
        len(found),
        max(map(len, found), default=0),
        sum("." in one for one in found),
        percents,
        dollars,
        len(_FRACTION.findall(figures)) if "/" in figures else 0,
    )


def _marks(stem: str, raw: bytes) -> list[int]:
    places = raw.translate(_PLACE_OF, _UNMARKED)
    found = [*map(places.count, range(len(_MARKS_AND_SIGNS)))]
    if not stem.isascii():
        found[_QUOTES] += stem.count(_WIDE_QUOTE)
    return found


def _end(stem: str) -> tuple[float, ...]:
    last = stem.rstrip()[-1:]
    return last == "?", last == ":", last == ".", last.isalpha()


def _kinds(stem_words: Sequence[bytes]) -> list[int]:
    met = b"".join(filter(None, map(_KINDS_OF.get, stem_words)))
    found: list[int] = np.bincount(np.frombuffer(met, dtype=np.uint8), minlength=len(_WORD_KINDS)).tolist()
    return found


def _choices(choices: Sequence[str], by_choice: Sequence[Sequence[bytes]], stem_words: Sequence[bytes]) -> list[float]:
    sets = [set(words) for words in by_choice]
    union = set().union(*sets)
    sizes = sorted(map(len, choices))
    mean = sum(sizes) / len(sizes)
    spread = (sum((size - mean) ** 2 for size in sizes) / len(sizes)) ** 0.5
    return [
        len(choices),
        mean,
        sizes[-1],
        spread / (mean + 1),
        sum(_DIGIT.search(choice) is not None for choice in choices),
        sum(len(choice) < SHORT_CHOICE and _NUMBER_CHOICE.match(choice) is not None for choice in choices),
        sum(" of the above" in choice or "none of" in choice for choice in choices),
        sum(any(mark in choice for mark in "=^\\") for choice in choices),
        len(set.intersection(*sets)) / (len(union) + 1),
        len(union.intersection(stem_words)) / (len(union) + 1),
        sum(map(len, sets)) / len(sets),
        1 + sum(small != large for small, large in pairwise(sizes)),
        sum(("true" in choice and "false" in choice) or "wrong" in choice for choice in choices),
    ]
