"""Extremely randomised trees at serving time (Geurts, Ernst, Wehenkel 2006): from features to one leaf a tree.

An artefact's tree is a full binary tree of a fixed depth, laid out by levels: node i has the children 2i + 1 (feature
at most the threshold) and 2i + 2. Where a tree ended early its threshold is infinite, so that the way down is the left
one. Few of those nodes are ever a choice, and the forest keeps only these. It makes all choices first, feature after
feature, for to read a table from end to end costs less than to jump about in it; then it walks all trees side by side,
one step a level.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

DEPTH: Final = 10
NODES: Final = (1 << DEPTH) - 1

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Places = npt.NDArray[np.int32]


class Forest:
    """features, thresholds: [trees, NODES]; leaf_of: [trees, NODES + 1], the number of each leaf over all trees."""

    def __init__(self, features: npt.NDArray[np.uint8], thresholds: Floats, leaf_of: npt.NDArray[np.int32]) -> None:
        self.trees = features.shape[0]
        self.leaves = int(leaf_of.max()) + 1 if leaf_of.size else 0
        levels = _levels(thresholds)
        tree, node = (np.concatenate(column) for column in zip(*levels, strict=True))
        choices, ends = (node < NODES).nonzero()[0], (node >= NODES).nonzero()[0]
        feature = features[tree[choices], node[choices]]
        order = feature.argsort(kind="stable")
        # A place is that of a choice, ordered by feature, or after all of these the number of a leaf.
        place = np.empty(node.size, dtype=np.int32)
        place[choices[order]] = np.arange(choices.size)
        place[ends] = choices.size + leaf_of[tree[ends], node[ends] - NODES]
        self._roots = place[: self.trees]
        self._choices_on = np.bincount(feature)  # how many choices look at each feature
        self._thresholds = thresholds[tree[choices], node[choices]][order].astype(np.float32)
        self._first = place[self.trees + 2 * order]
        self._to_second = place[self.trees + 2 * order + 1] - self._first
        self._leaves = np.arange(choices.size, choices.size + self.leaves, dtype=np.int32)
        self._steps = len(levels) - 1

    def leaf_numbers(self, shape: Floats) -> Places:
        """Return the leaf of each tree that one question falls into; `shape` holds its features."""
        goes_second = shape[: self._choices_on.size].repeat(self._choices_on) > self._thresholds
        # What follows on each choice; a leaf is followed by itself.
        follows = np.concatenate((self._first + self._to_second * goes_second, self._leaves))
        place = self._roots
        for _ in range(self._steps):
            place = follows.take(place)
        return place - np.int32(self._first.size)


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
