"""The difficulty model at serving time: one linear score, one calibration curve, one familiarity check. numpy only.

`value` is the calibrated probability that the large tier is right where the small one is wrong. A text whose words
the model has hardly met, or that has no words, is flagged `unfamiliar` and never called easier than the average.
Safe to share between tasks and threads: nothing is written after construction.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError
from headrace.contracts.routing import Difficulty
from headrace.router.difficulty.artefact import read_artefact
from headrace.router.difficulty.counts import COUNT_NAMES, counts
from headrace.router.difficulty.ngrams import KNOWN_BITS, TABLE_SIZE, U64, Slots, cut, known_bits, ngrams

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

PACKAGED: Final = Path(__file__).with_name("artefacts") / "default"

_TERM_WEIGHT: Final = 1.0 + np.log(np.maximum(np.arange(2048), 1), dtype=np.float32)
_SHAPES: Final = {
    "idf_words": (TABLE_SIZE,),
    "idf_chars": (TABLE_SIZE,),
    "char_weights": (TABLE_SIZE,),
    "known_words": ((1 << KNOWN_BITS) // 8,),
}


class Judged(msgspec.Struct, frozen=True):
    """A judgement with its parts, for training and for explaining."""

    score: float
    domain_scores: Floats
    known_share: float


class LinearDifficulty:
    """Implements contracts.DifficultyModel from the arrays and card of one artefact.

    The word table holds one column for the gain and one for each domain; the character table only the gain.
    """

    def __init__(self, card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        _check(card, arrays)
        self.card = card
        self.sha256: str = card["weights_sha256"]
        self.domains: tuple[str, ...] = tuple(card["domains"])
        words = arrays["word_weights"].astype(np.float32)
        # The two tables end to end, as the slots of ngrams() index them; domains look at words alone.
        self._idf = np.concatenate((arrays["idf_words"], arrays["idf_chars"])).astype(np.float32)
        self._gain = np.concatenate((words[:, 0], arrays["char_weights"])).astype(np.float32)
        self._domain_weights = np.ascontiguousarray(words[:, 1:])
        self._count_weights = arrays["count_weights"].astype(np.float32)
        self._is_known = unpacked(arrays["known_words"])
        curve = card["calibration"]
        self._curve_scores: list[float] = [float(one) for one in curve["scores"]]
        self._curve_values: list[float] = [float(one) for one in curve["values"]]
        self._least_known_share: float = card["unfamiliar"]["least_known_share"]
        self._base_rate: float = card["base_rate"]
        self._offsets: list[float] = arrays.get("offsets", np.zeros(len(self.domains))).tolist()

    def judge(self, text: str) -> Difficulty:
        """Judge the text of the question. An unfamiliar one is at least as hard as the average."""
        parts = self.parts(text)
        place = int(parts.domain_scores.argmax())
        value = moved(self.calibrated(parts.score), self._offsets[place])
        unfamiliar = parts.known_share < self._least_known_share
        if unfamiliar:
            value = max(value, self._base_rate)
        return Difficulty(value=value, domain=self.domains[place], unfamiliar=unfamiliar, artefact=self.sha256[:12])

    def parts(self, text: str) -> Judged:
        """Return the raw scores and the share of known words."""
        seen = cut(text)
        found = ngrams(seen)
        slots, values, words = weigh(found.slots, self._idf)
        scores = counts(seen, len(text)) @ self._count_weights
        gain = float(scores[0]) + float(values @ self._gain.take(slots))
        domains = scores[1:] + values[:words] @ self._domain_weights.take(slots[:words], axis=0)
        return Judged(gain, domains, known_share(found.word_hashes, self._is_known))

    def calibrated(self, score: float) -> float:
        """Return the probability that belongs to a raw score."""
        scores, values = self._curve_scores, self._curve_values
        right = bisect_right(scores, score)
        if right in {0, len(scores)}:
            return values[min(right, len(scores) - 1)]
        share = (score - scores[right - 1]) / (scores[right] - scores[right - 1])
        return values[right - 1] + share * (values[right] - values[right - 1])


def moved(value: float, offset: float) -> float:
    """Return a probability moved by an offset on the logit, which feedback may have taught for a domain."""
    if not offset or not 0.0 < value < 1.0:
        return value
    odds = value / (1.0 - value) * math.exp(offset)
    return odds / (1.0 + odds)


def weigh(slots: Slots, idf: Floats) -> tuple[Rows, Floats, int]:
    """Return the distinct slots of one text, their tf-idf values, and how many of them are words.

    Term frequency is sublinear (1 + ln tf); words and characters are each scaled to unit length.
    """
    if not slots.size:
        return np.empty(0, dtype=np.intp), np.zeros(0, dtype=np.float32), 0
    ordered = np.sort(slots)
    inner = (ordered[1:] != ordered[:-1]).nonzero()[0]
    last = np.empty(inner.size + 1, dtype=np.intp)
    last[:-1] = inner
    last[-1] = ordered.size - 1
    distinct = ordered.take(last).astype(np.intp)
    last[1:] -= inner  # from here on: how often each slot occurs
    last[0] += 1
    values = idf.take(distinct)
    values *= _TERM_WEIGHT.take(last, mode="clip")
    words = int(distinct.searchsorted(TABLE_SIZE))
    for block in (values[:words], values[words:]):
        np.divide(block, math.sqrt(float(block @ block)) or 1.0, out=block)
    return distinct, values, words


def known_share(word_hashes: U64, is_known: npt.NDArray[np.uint8]) -> float:
    """Return the share of the text's words that training met (one cell of 0 or 1 a bit); 0 for a text without words."""
    if not word_hashes.size:
        return 0.0
    return int(np.count_nonzero(is_known.take(known_bits(word_hashes)))) / word_hashes.size


def unpacked(known_words: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the artefact's packed bits of known words as one cell a bit."""
    return np.unpackbits(known_words, bitorder="little")


def load(path: Path | None = None) -> LinearDifficulty:
    """Load the artefact in folder `path`, or the packaged one; ConfigError when it is missing, altered or foreign."""
    return LinearDifficulty(*read_artefact(path or PACKAGED))


def _check(card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    needed: Sequence[str] = ("domains", "calibration", "unfamiliar", "base_rate", "weights_sha256")
    missing = [key for key in needed if key not in card]
    if missing:
        raise ConfigError(f"difficulty card without {', '.join(missing)}; train it again")
    outputs = 1 + len(card["domains"])
    optional = {"offsets": (len(card["domains"]),)} if "offsets" in arrays else {}
    shapes = {
        **_SHAPES,
        **optional,
        "word_weights": (TABLE_SIZE, outputs),
        "count_weights": (len(COUNT_NAMES), outputs),
    }
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else None
        if found != shape:
            raise ConfigError(f"difficulty weights: {name} is {found}, not {shape}; train it again")
