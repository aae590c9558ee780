"""One ranking out of two: how far each score stands out of its own list's crowd, added up. Pure.

Both scores become z-scores over all candidates of the question. A list that has one clear winner says so by a large
number, a list that cannot tell its passages apart says little: each question weighs the two lists by itself. Chosen by
measurement; docs/retrieval.md shows what it was measured against.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

Ranking = Sequence[tuple[int, float]]

DEPTH: Final = 500
DENSE_WEIGHT: Final = 0.5
_SAME: Final = 1e-9


def standings(
    lexical: Ranking, dense: Ranking, *, depth: int = DEPTH, dense_weight: float = DENSE_WEIGHT
) -> list[tuple[int, float]]:
    """Return (passage id, weighted mean of its z-scores), best first, of two rankings cut to `depth` first.

    A passage that one list lacks has that list's last score there; in a keyword list shorter than `depth`, which
    names every passage with one of the words, it has 0. Equal scores stand in the order of ids.
    """
    words, vectors = lexical[:depth], dense[:depth]
    ids = sorted({id_ for id_, _ in words} | {id_ for id_, _ in vectors})
    by_words = _standing(ids, dict(words), 0.0 if len(words) < depth else words[-1][1])
    by_vectors = _standing(ids, dict(vectors), vectors[-1][1] if vectors else 0.0)
    fused = [
        (id_, (1 - dense_weight) * word + dense_weight * vector)
        for id_, word, vector in zip(ids, by_words, by_vectors, strict=True)
    ]
    fused.sort(key=lambda item: -item[1])
    return fused


def _standing(ids: Sequence[int], scores: Mapping[int, float], absent: float) -> list[float]:
    """Return the z-score of every candidate; all 0 where the list tells none from another."""
    values = [scores.get(id_, absent) for id_ in ids]
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / deviation if deviation > _SAME else 0.0 for value in values]
