import numpy as np

from benchmarks.cascade.question_side import predict_apart, ridge
from headrace.router.training.design import Design
from headrace.router.training.fit import fit_gain

TEXTS = [
    f"{'Integrate the polynomial' if row % 2 else 'Name the colour'} number {row} of {row % 7}" for row in range(60)
]
RIGHT = np.stack([np.arange(60) % 2, np.arange(60) % 3 == 0], axis=1).astype(np.float64)
FOLD = np.arange(60) // 2 % 5


def test_the_dual_solution_is_the_ridge_of_the_recipe() -> None:
    design = Design.of(TEXTS)
    train, test = np.flatnonzero(FOLD != 0), np.flatnonzero(FOLD == 0)
    ours = ridge(design, RIGHT, train, test)
    for column in range(2):
        theirs = fit_gain(design.rows(train), RIGHT[train, column], np.ones(train.size)).gain(design.rows(test))
        assert np.abs(ours[:, column] - theirs).max() < 5e-3


def test_predictions_never_saw_their_own_fold_nor_the_held_one() -> None:
    design = Design.of(TEXTS)
    plain = predict_apart(design, RIGHT, FOLD, nested=True)
    changed = RIGHT.copy()
    changed[FOLD == 2] = 1 - changed[FOLD == 2]
    other = predict_apart(design, changed, FOLD, nested=True)
    assert np.array_equal(plain.out_of_fold[FOLD == 2], other.out_of_fold[FOLD == 2])
    assert not np.array_equal(plain.out_of_fold[FOLD == 1], other.out_of_fold[FOLD == 1])
    assert np.array_equal(plain.nested[2], other.nested[2])
    assert np.array_equal(plain.nested[1][FOLD == 2], other.nested[1][FOLD == 2])


def test_a_question_that_tells_is_predicted() -> None:
    predicted = predict_apart(Design.of(TEXTS), RIGHT, FOLD).out_of_fold
    assert predicted[1::2, 0].min() > predicted[::2, 0].max()
