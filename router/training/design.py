"""Turns examples into the sparse matrix the linear model is fitted on: the same features the serving path computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from headrace.router.difficulty.counts import counts
from headrace.router.difficulty.ngrams import TABLE_SIZE, U64, Slots, cut, ngrams

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Design:
    """Raw features of many texts: slot counts of words and characters, cheap counts, word hashes."""

    words: sparse.csr_array
    chars: sparse.csr_array
    counts: Floats
    word_hashes: tuple[U64, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Compute the features of every text."""
        found = [ngrams(cut(text)) for text in texts]
        return cls(
            words=_slot_counts([one.words for one in found]),
            chars=_slot_counts([one.chars for one in found]),
            counts=np.stack([counts(cut(text), len(text)) for text in texts]),
            word_hashes=tuple(one.word_hashes for one in found),
        )

    def rows(self, chosen: Rows) -> "Design":
        """Return the features of the chosen texts."""
        hashes = tuple(self.word_hashes[row] for row in chosen)
        return Design(self.words[chosen], self.chars[chosen], self.counts[chosen], hashes)


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is learned of the inputs alone: inverse document frequencies and the spread of the counts."""

    idf_words: Floats
    idf_chars: Floats
    count_mean: Floats
    count_scale: Floats

    @classmethod
    def fit(cls, design: Design) -> Self:
        """Learn the scaling from training texts. Constant counts (the bias) get scale 0."""
        spread = design.counts.std(axis=0)
        width = np.sqrt(np.float32(design.counts.shape[1]))
        scale = np.where(spread > 0, 1.0 / np.maximum(spread * width, 1e-6), 0.0).astype(np.float32)
        return cls(_idf(design.words), _idf(design.chars), design.counts.mean(axis=0), scale)

    def words_and_counts(self, design: Design) -> sparse.csr_array:
        """Return the columns that every output may use."""
        scaled = (design.counts - self.count_mean) * self.count_scale
        return sparse.csr_array(sparse.hstack([_tfidf(design.words, self.idf_words), sparse.csr_array(scaled)]))

    def chars(self, design: Design) -> sparse.csr_array:
        """Return the columns that only the gain uses."""
        return _tfidf(design.chars, self.idf_chars)


def _slot_counts(slots: Sequence[Slots]) -> sparse.csr_array:
    ends = np.concatenate(([0], np.cumsum([one.size for one in slots])))
    ones = np.ones(ends[-1], dtype=np.float32)
    table = sparse.csr_array((ones, np.concatenate(slots).astype(np.int32), ends), shape=(len(slots), TABLE_SIZE))
    table.sum_duplicates()
    return table


def _idf(table: sparse.csr_array) -> Floats:
    texts = table.shape[0]
    containing = np.bincount(table.indices, minlength=table.shape[1])
    exact = np.log((1 + texts) / (1 + containing)) + 1.0
    return exact.astype(np.float16).astype(np.float32)


def _tfidf(table: sparse.csr_array, idf: Floats) -> sparse.csr_array:
    weighted = table.copy()
    weighted.data = (np.log(weighted.data) + np.float32(1.0)) * idf[weighted.indices]
    squares = np.add.reduceat(np.append(weighted.data, np.float32(0.0)) ** 2, weighted.indptr[:-1])
    lengths = np.sqrt(np.where(np.diff(weighted.indptr) > 0, squares, 1.0))
    weighted.data = (weighted.data / np.repeat(lengths, np.diff(weighted.indptr))).astype(np.float32)
    return weighted
