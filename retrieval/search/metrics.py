"""How good a ranking is, and how sure that is. Pure.

nDCG with linear gain and a log2 discount, as trec_eval has it; recall and reciprocal rank count grades above 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

CUT: Final = 10
RECALL_CUT: Final = 100
RESAMPLES: Final = 2_000
_BLOCK: Final = 200  # resamples drawn at once
_TAILS: Final = (2.5, 97.5)


class Scores(msgspec.Struct, frozen=True):
    """Figures of one ranking, each 0..1."""

    ndcg: float
    recall: float
    mrr: float


class Interval(msgspec.Struct, frozen=True):
    """A mean with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float


def judge(ranking: Sequence[str], grades: Mapping[str, int]) -> Scores:
    """Score a ranking, best first, of a question that has a relevant passage: nDCG@10, recall@100, MRR@10."""
    gained = _gain([grades.get(passage, 0) for passage in ranking[:CUT]])
    ideal = _gain(sorted(grades.values(), reverse=True)[:CUT])
    relevant = {passage for passage, grade in grades.items() if grade > 0}
    first = next((1 / rank for rank, passage in enumerate(ranking[:CUT], 1) if passage in relevant), 0.0)
    return Scores(gained / ideal, len(relevant.intersection(ranking[:RECALL_CUT])) / len(relevant), first)


def interval(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean of one value a question, with the 95% interval of questions drawn anew."""
    given = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed)
    blocks = [min(_BLOCK, resamples - start) for start in range(0, resamples, _BLOCK)]
    means = np.concatenate([given[drawn.integers(len(given), size=(block, len(given)))].mean(1) for block in blocks])
    low, high = np.percentile(means, _TAILS)
    return Interval(float(given.mean()), float(low), float(high))


def _gain(grades: Sequence[int]) -> float:
    return math.fsum(max(grade, 0) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
