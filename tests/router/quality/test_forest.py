import numpy as np

from headrace.router.quality.forest import DEPTH, NODES, Forest

WIDTH = 6


def random_forest(trees: int, seed: int) -> tuple[Forest, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    features = random.integers(0, WIDTH, (trees, NODES), dtype=np.uint8)
    thresholds = random.normal(size=(trees, NODES)).astype(np.float32)
    thresholds[random.random((trees, NODES)) < 0.3] = np.inf
    leaf_of = random.integers(0, 900, (trees, NODES + 1), dtype=np.int32)
    return Forest(features, thresholds, leaf_of), (features, thresholds, leaf_of)


def walked(features: np.ndarray, thresholds: np.ndarray, leaf_of: np.ndarray, shape: np.ndarray) -> list[int]:
    """Walk one tree after the other, one node after the other."""
    found = []
    for tree in range(features.shape[0]):
        node = 0
        for _ in range(DEPTH):
            node = 2 * node + 1 + int(shape[features[tree, node]] > thresholds[tree, node])
        found.append(int(leaf_of[tree, node - NODES]))
    return found


def test_side_by_side_finds_what_one_after_the_other_finds() -> None:
    forest, arrays = random_forest(trees=9, seed=1)
    random = np.random.default_rng(2)
    for _ in range(50):
        shape = random.normal(size=WIDTH).astype(np.float32)
        assert forest.leaf_numbers(shape).tolist() == walked(*arrays, shape)


def test_a_feature_at_the_threshold_goes_left() -> None:
    features = np.zeros((1, NODES), dtype=np.uint8)
    thresholds = np.full((1, NODES), np.inf, dtype=np.float32)
    thresholds[0, 0] = 1.0
    leaf_of = np.repeat(np.array([[0, 1]], dtype=np.int32), (NODES + 1) // 2, axis=1)
    forest = Forest(features, thresholds, leaf_of)
    assert forest.leaf_numbers(np.array([1.0], np.float32)).tolist() == [0]
    assert forest.leaf_numbers(np.nextafter(np.array([1.0], np.float32), np.float32(2))).tolist() == [1]


def test_trees_and_leaves_are_counted() -> None:
    forest, (_, _, leaf_of) = random_forest(trees=3, seed=4)
    assert (forest.trees, forest.leaves) == (3, leaf_of.max() + 1)
    none = Forest(np.zeros((0, NODES), np.uint8), np.zeros((0, NODES), np.float32), np.zeros((0, NODES + 1), np.int32))
    assert (none.trees, none.leaves) == (0, 0)


def test_a_walk_changes_nothing() -> None:
    forest, _ = random_forest(trees=3, seed=5)
    shape = np.ones(WIDTH, dtype=np.float32)
    first = forest.leaf_numbers(shape)
    forest.leaf_numbers(-shape)
    assert forest.leaf_numbers(shape).tolist() == first.tolist()
    assert (shape == 1).all()
