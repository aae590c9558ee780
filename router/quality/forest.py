"""Extremely randomised trees at serving time (Geurts, Ernst, Wehenkel 2006): from features to one leaf a tree.

A tree is a full binary tree of a fixed depth, laid out by levels: node i has the children 2i + 1 (feature at most the
threshold) and 2i + 2. Where a tree ended early its threshold is infinite, so that the way down is the left one.
All trees are walked side by side: one step a level, whatever their number.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

DEPTH: Final = 10
NODES: Final = (1 << DEPTH) - 1

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


class Forest:
    """features, thresholds: [trees, NODES]; leaf_of: [trees, NODES + 1], the number of each leaf over all trees."""

    def __init__(self, features: npt.NDArray[np.uint8], thresholds: Floats, leaf_of: npt.NDArray[np.int32]) -> None:
        trees = features.shape[0]
        self._features = features.astype(np.intp).ravel()
        self._thresholds = thresholds.astype(np.float32).ravel()
        self._leaf_of = leaf_of.astype(np.intp).ravel()
        self._roots = np.arange(trees, dtype=np.intp) * NODES
        self._first_leaves = np.arange(trees, dtype=np.intp) * (NODES + 1) - NODES
        self.trees = trees
        self.leaves = int(leaf_of.max()) + 1 if leaf_of.size else 0

    def leaf_numbers(self, shape: Floats) -> Rows:
        """Return the leaf of each tree that one question falls into; `shape` holds its features."""
        node = np.zeros(self.trees, dtype=np.intp)
        for _ in range(DEPTH):
            at = self._roots + node
            node += node
            node += 1
            node += shape.take(self._features.take(at)) > self._thresholds.take(at)
        return self._leaf_of.take(self._first_leaves + node)
