"""What each word, pair of words and count of a question adds to the raw difficulty score. Exact, for it is linear.

Every hashed n-gram has one weight. Where several n-grams of the text share a slot they share its contribution evenly.
Character n-grams are counted with the word that their middle stands in, so a word's part is that of the whole word and
of its letters; those in the middle of figures, blanks and marks stand together. All parts add up to the raw score.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.counts import COUNT_NAMES, counts
from headrace.router.difficulty.model import weigh
from headrace.router.difficulty.ngrams import CHAR_ORDERS, cut, ngrams

Kind = Literal["start", "count", "word", "pair", "marks"]
Doubles = npt.NDArray[np.float64]

START: Final = "bias"
MARKS: Final = "figures, blanks, marks"
_WORD: Final = re.compile(rb"[a-z0_\x80-\xff]+")  # what ngrams() takes for one


class Part(msgspec.Struct, frozen=True):
    """What one thing adds to the raw score; below 0 it makes the question look easier.

    kind: "start" (what every question begins with), "count" (of counts.COUNT_NAMES), "word", "pair" of words, "marks".
    """

    kind: Kind
    name: str
    value: float


class DifficultyWeights:
    """The weights of one difficulty artefact, for explaining alone. Safe to share; nothing is written."""

    def __init__(self, card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.domains: tuple[str, ...] = tuple(card["domains"])
        self._arrays = arrays

    def parts(self, text: str) -> tuple[Part, ...]:
        """Return every part of the raw score, the start first and then the heaviest first."""
        seen = cut(text)
        weights = self._arrays["count_weights"][:, 0].astype(np.float64)
        counted = zip(COUNT_NAMES, counts(seen, len(text)) * weights, strict=True)
        parts = [Part("start" if name == START else "count", name, float(value)) for name, value in counted]
        parts += self._of_ngrams(seen)
        return tuple(sorted(parts, key=lambda part: (part.kind != "start", -abs(part.value), part.kind, part.name)))

    def _of_ngrams(self, seen: str) -> list[Part]:
        found = ngrams(seen)
        idf = np.concatenate((self._arrays["idf_words"], self._arrays["idf_chars"])).astype(np.float32)
        gain = np.concatenate((self._arrays["word_weights"][:, 0], self._arrays["char_weights"])).astype(np.float64)
        slots, values, _ = weigh(found.slots, idf)
        _, place, times = np.unique(found.slots, return_inverse=True, return_counts=True)
        each = (values * gain[slots] / times)[place]
        names = [*_names(seen)]
        if len(names) != each.size:
            raise ConfigError(f"{each.size} n-grams of a text have {len(names)} names; this is a fault of headrace")
        total: dict[tuple[Kind, str], float] = {}
        for name, value in zip(names, each.tolist(), strict=True):
            total[name] = total.get(name, 0.0) + value
        return [Part(kind, name, value) for (kind, name), value in total.items()]


def _names(seen: str) -> Iterator[tuple[Kind, str]]:
    """Yield whose each n-gram is, in the order of `ngrams`: words, pairs, then characters by order."""
    folded = f" {' '.join(seen.lower().split())} ".encode("utf-8", "replace")
    spans = [match.span() for match in _WORD.finditer(folded)]
    words = [folded[start:end].decode("utf-8", "replace") for start, end in spans]
    owner: list[tuple[Kind, str]] = [("marks", MARKS)] * len(folded)
    for word, (start, end) in zip(words, spans, strict=True):
        owner[start:end] = [("word", word)] * (end - start)
    yield from (("word", word) for word in words)
    yield from (("pair", f"{one} {other}") for one, other in pairwise(words))
    for order in CHAR_ORDERS:
        yield from (owner[start + order // 2] for start in range(len(folded) + 1 - order))
