"""The seam between where vectors are kept for good and an engine that finds the nearest of them.

An engine is derived: it follows its source by the list of changes, and everything it holds can be made again from it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Ids = NDArray[np.int64]
# Shape (documents, 2): the first and the last id of each document's vectors, both included; last < first: it has none.
Ranges = NDArray[np.int64]
Found = list[tuple[int, float]]


class Mark(msgspec.Struct, frozen=True):
    """A place in the list of changes; the random stamp tells the same place of two histories apart."""

    seq: int
    stamp: int


START = Mark(0, 0)


class Change(msgspec.Struct, frozen=True):
    """The vectors with ids first to last, both included, came or went."""

    mark: Mark
    kind: Literal["add", "remove"]
    first: int
    last: int


class Source(Protocol):
    """The vectors as they were at one moment; used by one thread, inside the block it was opened for."""

    def newest(self) -> Mark:
        """Return the place of the newest change."""
        ...

    def follows(self, mark: Mark) -> bool:
        """Tell whether the changes after this place are all still here: False for a place of another history."""
        ...

    def changes(self, after: Mark) -> list[Change]:
        """Return what changed after a place, oldest first."""
        ...

    def count(self) -> int:
        """Return how many vectors there are."""
        ...

    def last_id(self) -> int:
        """Return the greatest id there is, 0 where there is none."""
        ...

    def these(self, ids: Ids) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors, one a row, that there are of these ids."""
        ...

    def within(self, ranges: Ranges) -> tuple[Ids, Vector]:
        """Return the ids, ascending, and the vectors, one a row, that there are in merged ranges."""
        ...

    def batches(self, size: int, after: int = 0) -> Iterator[tuple[Ids, Vector]]:
        """Go through all vectors with a greater id, in the order of their ids, `size` at a time."""
        ...


class Sources(Protocol):
    """Opens the source as it is now; safe to share between threads."""

    def __call__(self) -> AbstractContextManager[Source]:
        """Return a block inside which nothing changes."""
        ...


class Engine(Protocol):
    """Finds the nearest vectors. Safe to share between threads."""

    def follow(self, source: Source) -> None:
        """Take up what changed."""
        ...

    def search(self, source: Source, vector: Vector, k: int, within: Ranges | None) -> Found:
        """Follow, then return the ids and cosines of the k nearest, best first; within: only of these ids."""
        ...

    def settle(self) -> None:
        """Do at once, and wait for, what is otherwise done in the background."""
        ...

    def forget(self) -> None:
        """Remove what is kept outside the collection's folder."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
