"""Recorded outcomes made by rule: questions of ten degrees of hardness, and models that are right where a test says."""

import numpy as np

from benchmarks.cascade.chosen import Setup, guards
from benchmarks.cascade.question_side import Apart
from benchmarks.cascade.record import Answers, Bools, Doubles, Record, words

SIZE = 200


def answers(right: Bools, *, cost: float, said: list[str | None] | None = None) -> Answers:
    """One model's answers: the right ones all say "42", the wrong ones something of their own."""
    spoken = said or ["42" if one else f"wrong {cost} {row}" for row, one in enumerate(right)]
    full = np.full(right.size, cost)
    return Answers(right.astype(np.float64), full, full, words(spoken))


def hardness() -> Doubles:
    return np.arange(SIZE) % 10 / 10


def setup_of(weak: Bools, peer: Bools, *, strong_cost: float = 100.0) -> Setup:
    """Questions of ten degrees of hardness, which the question side knows; strong is always right."""
    models = {
        "weak": answers(weak, cost=2.0),
        "peer": answers(peer, cost=1.0),
        "strong": answers(np.ones(SIZE, dtype=np.bool_), cost=strong_cost),
    }
    rows = np.arange(SIZE)
    record = Record(tuple(map(str, rows)), words(["sums"] * SIZE), rows, rows // 10 % 5, models)
    predicted = np.column_stack([1 - hardness(), 1 - hardness(), np.ones(SIZE), hardness()])
    return Setup(record, "weak", "peer", "strong", Apart(predicted, (predicted,) * 5), guards(record))
