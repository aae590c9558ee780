"""Vectors that came after the index was built, searched one by one. Values: a longer tail is another one."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.retrieval.nearest.ranges import inside
from headrace.retrieval.nearest.source import Found, Ids, Ranges, Vector

SMALLEST: Final = 256
# Copying a row costs about as much as comparing this many in place.
FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Tail:
    """The first `count` rows of two buffers, ids ascending. A longer tail may share them; rows never change.

    alive: one a row, False for what was removed since.
    """

    ids: Ids
    vectors: Vector
    count: int
    alive: NDArray[np.bool_]

    @classmethod
    def empty(cls, dimensions: int) -> "Tail":
        """Return a tail without rows."""
        nothing = np.empty((0, dimensions), dtype=np.float32)
        return cls(np.empty(0, dtype=np.int64), nothing, 0, np.empty(0, dtype=np.bool_))

    def longer(self, ids: Ids, vectors: Vector) -> "Tail":
        """Return this tail with more rows at its end; only ever of the longest tail that shares these buffers."""
        count = self.count + len(ids)
        own_ids, own_vectors = self.ids, self.vectors
        if count > len(own_ids):
            room = max(SMALLEST, count, 2 * len(own_ids))
            own_ids = np.empty(room, dtype=np.int64)
            own_vectors = np.empty((room, vectors.shape[1]), dtype=np.float32)
            own_ids[: self.count] = self.ids[: self.count]
            own_vectors[: self.count] = self.vectors[: self.count]
        own_ids[self.count : count] = ids
        own_vectors[self.count : count] = vectors
        alive = np.concatenate([self.alive, np.ones(len(ids), dtype=np.bool_)])
        return Tail(own_ids, own_vectors, count, alive)

    def without(self, removed: Ranges) -> "Tail":
        """Return this tail with the rows of these ids dead."""
        alive = self.alive.copy()
        for first, last in removed:
            start, stop = np.searchsorted(self.ids[: self.count], [first, last + 1])
            alive[start:stop] = False
        return Tail(self.ids, self.vectors, self.count, alive)

    def search(self, vector: Vector, k: int, within: Ranges | None) -> Found:
        """Return the ids and cosines of the k nearest, in no order."""
        ids = self.ids[: self.count]
        chosen = self.alive if within is None else self.alive & inside(ids, within)
        rows = np.flatnonzero(chosen)
        if len(rows) * FEW < self.count:
            return top(ids[rows], self.vectors[rows] @ vector, k)
        return top(ids[rows], (self.vectors[: self.count] @ vector)[rows], k)


def top(ids: Ids, scores: Vector, k: int) -> Found:
    """Return the k greatest scores and their ids, in no order."""
    if len(scores) > k:
        best = np.argpartition(scores, len(scores) - k)[len(scores) - k :]
        ids, scores = ids[best], scores[best]
    return list(zip(ids.tolist(), scores.tolist(), strict=True))


def best_of(k: int, *found: Found) -> Found:
    """Return the k best of several results, best first, equal scores in the order of ids; a cosine ends at one."""
    together = [(id_, max(-1.0, min(1.0, score))) for part in found for id_, score in part]
    return sorted(together, key=lambda one: (-one[1], one[0]))[:k]
