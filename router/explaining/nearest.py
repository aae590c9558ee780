"""The training questions most like a new one, from a small index that is shipped beside the difficulty model.

The index holds, for a sample of the questions that training learnt from, the hashes of the words, the first characters
of the text, where it comes from, and how right the small and the large role were. Alike: the cosine of the words'
inverse document frequencies over the index. Loaded by `headrace explain` alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import read_artefact
from headrace.router.difficulty.model import PACKAGED as DIFFICULTY
from headrace.router.difficulty.ngrams import KNOWN_BITS, cut, known_bits, ngrams

FORMAT: Final = "headrace-nearest"
FOLDER: Final = "nearest"
PACKAGED: Final = DIFFICULTY / FOLDER
HUNDREDTHS: Final = 100.0
NOT_ASKED: Final = -1  # in place of how right the large role was

Words = npt.NDArray[np.int64]


class Neighbour(msgspec.Struct, frozen=True):
    """A training question. likeness: 0..1; small, large: how right each role was, 0..1; text: its beginning.

    large is None for the default tiers' own record: training takes the large role as right there.
    """

    question_id: str
    source: str
    likeness: float
    small: float
    large: float | None
    text: str


class NearestIndex:
    """The arrays and card of one index. Safe to share; nothing is written after construction."""

    def __init__(self, card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.card = card
        self._rows = msgspec.json.decode(arrays["rows"].tobytes(), type=list[tuple[str, int, int, str]])
        self._words = arrays["words"].astype(np.int64)
        lengths = arrays["lengths"].astype(np.int64)
        if lengths.size != len(self._rows) or lengths.sum() != self._words.size:
            raise ConfigError(f"nearest index: {lengths.size} lengths for {len(self._rows)} questions; train it again")
        self._row_of = np.repeat(np.arange(lengths.size), lengths)
        containing = np.bincount(self._words, minlength=1 << KNOWN_BITS)
        self._idf = np.log((1 + lengths.size) / (1 + containing)) + 1.0
        squares = np.bincount(self._row_of, weights=self._idf[self._words] ** 2, minlength=lengths.size)
        self._norms = np.sqrt(np.maximum(squares, 1.0))

    def nearest(self, text: str, most: int = 5) -> tuple[Neighbour, ...]:
        """Return up to `most` questions that share words with the text, the most alike first."""
        own = words_of(text)
        weight = np.zeros(1 << KNOWN_BITS)
        weight[own] = self._idf[own]
        shared = np.bincount(
            self._row_of, weights=weight[self._words] * self._idf[self._words], minlength=self._norms.size
        )
        likeness = shared / (self._norms * max(float(np.sqrt((weight**2).sum())), 1.0))
        order = np.argsort(-likeness, kind="stable")[:most]
        return tuple(self._neighbour(int(row), float(likeness[row])) for row in order if likeness[row] > 0)

    def _neighbour(self, row: int, likeness: float) -> Neighbour:
        question_id, small, large, text = self._rows[row]
        source = question_id.split(":", 1)[0]
        right = None if large == NOT_ASKED else large / HUNDREDTHS
        return Neighbour(question_id, source, round(likeness, 4), small / HUNDREDTHS, right, text)


def words_of(text: str) -> Words:
    """Return the distinct words of a text as hashes, in order."""
    return np.unique(known_bits(ngrams(cut(text)).word_hashes))


def load(path: Path | None = None) -> NearestIndex | None:
    """Load the index in folder `path`, or the packaged one; None where there is none, ConfigError for a bad one."""
    folder = path or PACKAGED
    if not folder.exists():
        return None
    try:
        return NearestIndex(*read_artefact(folder, FORMAT))
    except (KeyError, msgspec.DecodeError) as exc:
        raise ConfigError(f"{folder}: not an index of training questions ({exc}); train it again") from exc
