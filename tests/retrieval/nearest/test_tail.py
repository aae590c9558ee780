import numpy as np

from headrace.retrieval.nearest.source import Ids, Vector
from headrace.retrieval.nearest.tail import SMALLEST, Tail, best_of


def rows(*ids: int) -> tuple[Ids, Vector]:
    """Vectors whose first number is their id, so that a search along it gives the id as the score."""
    return np.array(ids, dtype=np.int64), np.array([[id_, 0.0] for id_ in ids], dtype=np.float32)


ALONG = np.array([1.0, 0.0], dtype=np.float32)


def found(tail: Tail, k: int, *within: tuple[int, int]) -> list[int]:
    limits = np.array(within, dtype=np.int64) if within else None
    return sorted(id_ for id_, _ in tail.search(ALONG, k, limits))


def test_the_greatest_scores_are_found() -> None:
    assert found(Tail.empty(2).longer(*rows(1, 2, 3, 4)), 2) == [3, 4]


def test_an_empty_tail_finds_nothing() -> None:
    assert found(Tail.empty(2), 3) == []


def test_a_longer_tail_leaves_the_shorter_as_it_was() -> None:
    short = Tail.empty(2).longer(*rows(1, 2))
    longer = short.longer(*rows(5))
    assert longer.vectors is short.vectors
    assert (found(short, 9), found(longer, 9)) == ([1, 2], [1, 2, 5])


def test_it_grows_past_its_buffers() -> None:
    tail = Tail.empty(2)
    for start in range(0, 3 * SMALLEST, 100):
        tail = tail.longer(*rows(*range(start + 1, start + 101)))
    assert found(tail, 10**6) == list(range(1, tail.count + 1))


def test_removed_rows_are_not_found_and_stay_so() -> None:
    tail = Tail.empty(2).longer(*rows(1, 2, 3, 4, 5))
    without = tail.without(np.array([[2, 3], [9, 12]], dtype=np.int64)).longer(*rows(6))
    assert found(without, 9) == [1, 4, 5, 6]
    assert found(tail, 9) == [1, 2, 3, 4, 5]


def test_only_the_ranges_asked_for_are_searched_however_few() -> None:
    tail = Tail.empty(2).longer(*rows(*range(1, 101)))
    assert found(tail, 200, (2, 3), (7, 7)) == [2, 3, 7]
    assert found(tail, 200, (2, 90)) == list(range(2, 91))


def test_results_are_joined_best_first_then_by_id_and_end_at_one() -> None:
    assert best_of(3, [(4, 0.5), (2, 1.0000001)], [], [(3, 0.5), (9, 0.1)]) == [(2, 1.0), (3, 0.5), (4, 0.5)]
