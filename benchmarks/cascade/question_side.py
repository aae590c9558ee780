"""What a question alone says about each model: P(right), predicted by fits that never saw the question's fold.

The features and the penalty are those of the shipped difficulty recipe. Its ridge is solved here in dual form, where
one factorisation serves every model at once: a few thousand questions, tens of models.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse

from benchmarks.cascade.record import Doubles, Rows
from headrace.router.training.corpus import FOLDS
from headrace.router.training.design import Design, Scaling
from headrace.router.training.fit import ALPHA


@dataclass(frozen=True, slots=True)
class Apart:
    """Predictions for every question; nested[held] never saw fold `held` either, nor the question's own fold."""

    out_of_fold: Doubles
    nested: tuple[Doubles, ...] = ()


def predict_apart(design: Design, targets: Doubles, fold: Rows, *, nested: bool = False) -> Apart:
    """Predict each column of `targets` (questions by models) for every question, from fits apart from it.

    nested: also what a threshold for fold `held` may be chosen on. Row i of nested[held] comes from a fit without the
    folds of i and `held`; for the questions of `held` itself it is the plain out-of-fold prediction.
    """
    out = np.zeros_like(targets)
    for held in range(FOLDS):
        rows = np.flatnonzero(fold == held)
        out[rows] = ridge(design, targets, np.flatnonzero(fold != held), rows)
    if not nested:
        return Apart(out)
    inner = [out.copy() for _ in range(FOLDS)]
    for one, two in combinations(range(FOLDS), 2):
        rows = np.flatnonzero((fold == one) | (fold == two))
        predicted = ridge(design, targets, np.flatnonzero((fold != one) & (fold != two)), rows)
        for held, other in ((one, two), (two, one)):
            inner[held][fold == other] = predicted[fold[rows] == other]
    return Apart(out, tuple(inner))


def ridge(design: Design, targets: Doubles, train: Rows, test: Rows) -> Doubles:
    """Fit on `train` and predict `test`: ridge with an unpenalised intercept, every target in one solve."""
    seen = design.rows(train)
    scaling = Scaling.fit(seen)
    known, asked = _table(scaling, seen), _table(scaling, design.rows(test))
    centre = np.asarray(known.mean(axis=0)).ravel()
    kernel = (known @ known.T).toarray() - _outer(known @ centre, known @ centre, centre)
    level = targets[train].mean(axis=0)
    dual = np.linalg.solve(kernel + ALPHA * np.eye(train.size), targets[train] - level)
    cross = (asked @ known.T).toarray() - _outer(asked @ centre, known @ centre, centre)
    return np.asarray(cross @ dual + level, dtype=np.float64)


def _table(scaling: Scaling, design: Design) -> sparse.csr_array:
    return sparse.csr_array(sparse.hstack([scaling.words_and_counts(design), scaling.chars(design)]))


def _outer(left: Doubles, right: Doubles, centre: Doubles) -> Doubles:
    """Return what centring both sides takes off the products of their rows."""
    return left[:, None] + right[None, :] - float(centre @ centre)
