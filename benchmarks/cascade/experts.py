"""A mixture of whole models: a gate picks K of them by predicted quality and cost, all answer, the majority decides.

The gate sees the question alone; what a model costs is its mean over the training questions. Every picked model is
paid. Answers that name nothing have no vote; ties go to the answer of the best predicted model among them. Pure.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.cascade.record import Answers, Bools, Doubles, Rows, Words
from benchmarks.cascade.staged import Outcome
from headrace.router.training.corpus import FOLDS


def gate(predicted: Doubles, cost: Doubles, price: float, top_k: int) -> Rows:
    """Return the `top_k` models of each question, best first, by predicted quality less price times cost.

    predicted: questions by models. cost: of each question's models in units of the dearest.
    """
    return np.asarray(np.argsort(price * cost - predicted, axis=1, kind="stable")[:, :top_k], dtype=np.int64)


def mean_costs(models: Sequence[Answers], fold: Rows) -> Doubles:
    """Return each model's mean cost, questions by models, from the other folds; the dearest of a row is 1."""
    return _other_folds(np.stack([one.cost for one in models], axis=1), fold, top=True)


def mean_rights(models: Sequence[Answers], fold: Rows) -> Doubles:
    """Return how often each model was right on the other folds: the gate that sees no question."""
    return _other_folds(np.stack([one.right for one in models], axis=1), fold, top=False)


def mean_rights_by_subject(models: Sequence[Answers], fold: Rows, subject: Words) -> Doubles:
    """Return how often each model was right in the question's subject on the other folds."""
    right, means = np.stack([one.right for one in models], axis=1), mean_rights(models, fold)
    for held in range(FOLDS):
        for one in np.unique(subject[fold == held].astype(str)):
            seen = (fold != held) & (subject == one)
            if seen.any():
                means[(fold == held) & (subject == one)] = right[seen].mean(axis=0)
    return means


def vote(models: Sequence[Answers], picked: Rows) -> Outcome:
    """Return what the majority of the picked models gives; kept: more than one model said it."""
    right, cost, shared = (np.zeros(len(picked)) for _ in range(3))
    for row, chosen in enumerate(picked):
        said = [models[one].said[row] for one in chosen]
        counts = [0 if answer is None else said.count(answer) for answer in said]
        best = int(np.argmax(counts))
        right[row] = models[chosen[best]].right[row]
        cost[row] = sum(models[one].cost[row] for one in chosen)
        shared[row] = counts[best] > 1
    kept: Bools = shared.astype(np.bool_)
    return Outcome(right, cost, kept, np.zeros(len(picked), dtype=np.bool_))


def _other_folds(values: Doubles, fold: Rows, *, top: bool) -> Doubles:
    means = np.empty_like(values)
    for held in range(FOLDS):
        mean = values[fold != held].mean(axis=0)
        means[fold == held] = mean / mean.max() if top else mean
    return means
