"""Extremely randomised trees at serving time (Geurts, Ernst, Wehenkel 2006): from features to one leaf a tree.

An artefact's tree is a full binary tree of a fixed depth, laid out by levels: node i has the children 2i + 1 (feature
at most the threshold) and 2i + 2. Where a tree ended early its threshold is infinite, so that the way down is the left
one. Few of those nodes are ever a choice, so the forest keeps only these and the ends, close together. All trees are
walked side by side: one step a level, whatever their number.
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
        self.trees = features.shape[0]
        self.leaves = int(leaf_of.max()) + 1 if leaf_of.size else 0
        levels = _levels(thresholds)
        tree, node = (np.concatenate(column) for column in zip(*levels, strict=True))
        splits = node < NODES
        # A place in these is a node that is a choice, or an end; the second child's place follows the first one's.
        self._features = np.zeros(node.size, dtype=np.intp)
        self._features[splits] = features[tree[splits], node[splits]]
        self._thresholds = np.full(node.size, np.inf, dtype=np.float32)
        self._thresholds[splits] = thresholds[tree[splits], node[splits]]
        self._first_child = np.arange(node.size, dtype=np.intp)  # an end leads to itself
        self._first_child[splits] = self.trees + 2 * np.arange(np.count_nonzero(splits))
        self._leaf_of = np.zeros(node.size, dtype=np.intp)
        self._leaf_of[~splits] = leaf_of[tree[~splits], node[~splits] - NODES]
        self._steps = len(levels) - 1

    def leaf_numbers(self, shape: Floats) -> Rows:
        """Return the leaf of each tree that one question falls into; `shape` holds its features."""
        place = np.arange(self.trees, dtype=np.intp)
        for _ in range(self._steps):
            goes_second = shape.take(self._features.take(place)) > self._thresholds.take(place)
            place = self._first_child.take(place)
            place += goes_second
        return self._leaf_of.take(place)


def _levels(thresholds: Floats) -> list[tuple[Rows, Rows]]:
    """Return tree and node of every choice and end, level by level; an end is a node past the last of its tree."""
    tree = np.arange(thresholds.shape[0], dtype=np.intp)
    node = np.zeros_like(tree)
    levels = []
    while True:
        for _ in range(DEPTH):  # an infinite threshold is no choice: on to the first child
            inside = (node < NODES).nonzero()[0]
            passed = inside[np.isinf(thresholds[tree[inside], node[inside]])]
            node[passed] = 2 * node[passed] + 1
        levels.append((tree, node))
        splits = node < NODES
        if not splits.any():
            return levels
        tree = tree[splits].repeat(2)
        node = 2 * node[splits].repeat(2) + 1
        node[1::2] += 1
