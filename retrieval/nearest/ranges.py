"""Sets of ids as ranges. Pure. A document's vectors have consecutive ids, so a set of documents is few numbers."""

import numpy as np
from numpy.typing import NDArray

from headrace.retrieval.nearest.source import Ids, Ranges


def merged(ranges: Ranges) -> Ranges:
    """Return the same ids in as few ranges as can be, ascending; the ranges given do not overlap."""
    ranges = ranges[ranges[:, 0] <= ranges[:, 1]]
    ranges = ranges[np.argsort(ranges[:, 0])]
    if not len(ranges):
        return ranges
    gaps = np.flatnonzero(ranges[1:, 0] != ranges[:-1, 1] + 1)
    firsts = ranges[np.concatenate([[0], gaps + 1]), 0]
    lasts = ranges[np.concatenate([gaps, [len(ranges) - 1]]), 1]
    return np.stack([firsts, lasts], axis=1)


def until(ranges: Ranges, greatest: int) -> Ranges:
    """Return the part of the ranges up to an id."""
    ranges = ranges[ranges[:, 0] <= greatest]
    return np.stack([ranges[:, 0], np.minimum(ranges[:, 1], greatest)], axis=1)


def size(ranges: Ranges) -> int:
    """Return how many ids the ranges hold."""
    return int((ranges[:, 1] - ranges[:, 0] + 1).sum())


def spelled(ranges: Ranges) -> Ids:
    """Return every id of the ranges, one by one."""
    sizes = ranges[:, 1] - ranges[:, 0] + 1
    starts = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(sizes.sum()) - np.repeat(starts - ranges[:, 0], sizes), dtype=np.int64)


def inside(ids: Ids, within: Ranges) -> NDArray[np.bool_]:
    """Tell for each id whether it lies in one of the ranges, which are merged."""
    if not len(within):
        return np.zeros(len(ids), dtype=np.bool_)
    place = np.searchsorted(within[:, 0], ids, side="right") - 1
    return np.asarray((place >= 0) & (ids <= within[place, 1]), dtype=np.bool_)
