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
    "full_stops": ".", "question_marks": "?", "commas": ",", "colons": ":", "lines": "\n", "quotes": '"“',
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
    word: tuple(place for place, words in enumerate(_WORD_KINDS.values()) if word in words.split())
    for word in {word for words in _WORD_KINDS.values() for word in words.split()}
}
_CHOICE: Final = re.compile(r"\n[a-j][.)] ?")
_WORD: Final = re.compile(r"[a-z']+")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_FRACTION: Final = re.compile(r"\d/\d")
_DATE: Final = re.compile(r"\b(?:1\d|20)\d\d\b")
_NUMBER_CHOICE: Final = re.compile(r"[-+$]?[\d.,/%]+")
_NO_CHOICES: Final = (0.0,) * len(_CHOICES)

Floats = npt.NDArray[np.float32]


def structure(text: str) -> Floats:
    """Return one float per name of NAMES. What stands after the first 2,000 characters counts by its length alone.

    Neither blanks round the text nor capitals count, for people leave them out as they please.
    """
    text = text.strip()
    seen = text[:MOST_CHARS].lower()
    stem, *choices = _CHOICE.split(seen)
    choices = [choice.replace("\nanswer:", "").strip() for choice in choices] if len(choices) > 1 else []
    stem_words = _WORD.findall(stem)
    by_choice = [_WORD.findall(choice) for choice in choices]
    values = [
        *_lengths(text, stem, stem_words, by_choice),
        *_numbers(stem),
        *[sum(map(stem.count, marks)) for marks in _MARKS.values()],
        *_end(stem),
        *_more(seen, stem_words),
        *_kinds(stem_words),
        *(_choices(choices, by_choice, stem_words) if choices else _NO_CHOICES),
    ]
    return np.log1p(np.array(values, dtype=np.float32))


def _lengths(text: str, stem: str, stem_words: Sequence[str], by_choice: Sequence[Sequence[str]]) -> list[float]:
    words = [*stem_words, *(word for words in by_choice for word in words)]
    sizes = [*map(len, words)]
    count = max(len(words), 1)
    return [
        len(text),
        len(stem),
        len(words),
        len(stem_words),
        len(set(words)) / count,
        sum(sizes) / count,
        max(sizes, default=0),
        sum(size >= LONG_WORD for size in sizes) / count,
        sum(size >= VERY_LONG_WORD for size in sizes),
    ]


def _numbers(stem: str) -> list[float]:
    found = _NUMBER.findall(stem)
    return [
        len(found),
        max(map(len, found), default=0),
        sum("." in one for one in found),
        stem.count("%"),
        stem.count("$"),
        len(_FRACTION.findall(stem)) if "/" in stem else 0,
    ]


def _end(stem: str) -> list[float]:
    last = stem.rstrip()[-1:]
    return [float(last == "?"), float(last == ":"), float(last == "."), float(last.isalpha())]


def _more(seen: str, stem_words: Sequence[str]) -> list[float]:
    return [
        len(_DATE.findall(seen)),
        0 if seen.isascii() else len(seen) - len(seen.encode("ascii", "ignore")),
        [*map(len, stem_words)].count(1),
        sum(map(seen.count, "\\{}[]")),
    ]


def _kinds(stem_words: Sequence[str]) -> list[float]:
    found = [0.0] * len(_WORD_KINDS)
    for word in stem_words:
        for place in _KINDS_OF.get(word, ()):
            found[place] += 1
    return found


def _choices(choices: Sequence[str], by_choice: Sequence[Sequence[str]], stem_words: Sequence[str]) -> list[float]:
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
        sum(_NUMBER.search(choice) is not None for choice in choices),
        sum(len(choice) < SHORT_CHOICE and _NUMBER_CHOICE.match(choice) is not None for choice in choices),
        sum(" of the above" in choice or "none of" in choice for choice in choices),
        sum(any(mark in choice for mark in "=^\\") for choice in choices),
        len(set.intersection(*sets)) / (len(union) + 1),
        len(union.intersection(stem_words)) / (len(union) + 1),
        sum(map(len, sets)) / len(sets),
        1 + sum(small != large for small, large in pairwise(sizes)),
        sum(("true" in choice and "false" in choice) or "wrong" in choice for choice in choices),
    ]
