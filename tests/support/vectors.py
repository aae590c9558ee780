"""A source of vectors in memory, for what follows one: the same promises as a collection's database, less the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from headrace.retrieval.nearest.ranges import spelled
from headrace.retrieval.nearest.source import START, Change, Ids, Mark, Ranges, Source, Vector


class Memory:
    """Vectors by id with a list of changes; itself the source that it opens, so nothing may change in between."""

    def __init__(self, dimensions: int, *, seed: int = 0) -> None:
        self.dimensions = dimensions
        self.rows: dict[int, Vector] = {}
        self.log: list[Change] = []
        self._random = np.random.default_rng(seed)
        self._next = 1

    def add(self, count: int) -> list[int]:
        """Add random unit vectors with the next ids."""
        vectors = self._random.standard_normal((count, self.dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = list(range(self._next, self._next + count))
        self.rows |= dict(zip(ids, vectors, strict=True))
        self._next += count
        self._change("add", ids[0], ids[-1])
        return ids

    def remove(self, first: int, last: int) -> None:
        """Remove the vectors first to last, both included."""
        for id_ in range(first, last + 1):
            del self.rows[id_]
        self._change("remove", first, last)

    def exact(self, vector: Vector, k: int) -> list[int]:
        """Return the ids of the k nearest, best first, by comparing all."""
        ids = np.array(sorted(self.rows), dtype=np.int64)
        scores = np.stack([self.rows[id_] for id_ in ids.tolist()]) @ vector
        return [int(ids[place]) for place in np.argsort(-scores, kind="stable")[:k]]

    @contextmanager
    def __call__(self) -> Iterator[Source]:
        """Implement Sources."""
        yield self

    def newest(self) -> Mark:
        """Return the place of the newest change."""
        return self.log[-1].mark if self.log else START

    def follows(self, mark: Mark) -> bool:
        """Tell whether the changes after this place are all still here."""
        return mark == START or any(change.mark == mark for change in self.log)

    def changes(self, after: Mark) -> list[Change]:
        """Return what changed after a place, oldest first."""
        return [change for change in self.log if change.mark.seq > after.seq]

    def count(self) -> int:
        """Return how many vectors there are."""
        return len(self.rows)

    def last_id(self) -> int:
        """Return the greatest id there is, 0 where there is none."""
        return max(self.rows, default=0)

    def these(self, ids: Ids) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors that there are of these ids."""
        return self._arrays(sorted(set(ids.tolist()) & set(self.rows)))

    def within(self, ranges: Ranges) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors that there are in merged ranges."""
        return self.these(spelled(ranges))

    def batches(self, size: int, after: int = 0) -> Iterator[tuple[Ids, Vector]]:
        """Go through all vectors with a greater id, in the order of their ids, `size` at a time."""
        ids = sorted(id_ for id_ in self.rows if id_ > after)
        for start in range(0, len(ids), size):
            yield self._arrays(ids[start : start + size])

    def _arrays(self, ids: list[int]) -> tuple[Ids, Vector]:
        rows = [self.rows[id_] for id_ in ids]
        stacked = np.stack(rows) if rows else np.empty((0, self.dimensions), dtype=np.float32)
        return np.array(ids, dtype=np.int64), stacked

    def _change(self, kind: str, first: int, last: int) -> None:
        mark = Mark(len(self.log) + 1, int(self._random.integers(2**62)))
        self.log.append(Change(mark, "add" if kind == "add" else "remove", first, last))
