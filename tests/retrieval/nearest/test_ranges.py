import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.retrieval.nearest import ranges
from headrace.retrieval.nearest.source import Ranges


def of(*pairs: tuple[int, int]) -> Ranges:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("given_ranges", "expected"),
    [
        (of(), []),
        (of((4, 3)), []),
        (of((1, 2)), [[1, 2]]),
        (of((5, 6), (1, 2), (3, 4)), [[1, 6]]),
        (of((1, 2), (4, 5), (3, 2)), [[1, 2], [4, 5]]),
    ],
)
def test_neighbours_become_one_range(given_ranges: Ranges, expected: list[list[int]]) -> None:
    assert ranges.merged(given_ranges).tolist() == expected


def test_what_lies_beyond_an_id_is_cut_off() -> None:
    assert ranges.until(of((1, 3), (5, 9), (11, 12)), 6).tolist() == [[1, 3], [5, 6]]


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_the_ids_they_were_made_of(ids: set[int]) -> None:
    whole = ranges.merged(of(*((id_, id_) for id_ in ids)))
    assert ranges.spelled(whole).tolist() == sorted(ids)
    assert ranges.size(whole) == len(ids)
    everything = np.arange(1, 70, dtype=np.int64)
    assert everything[ranges.inside(everything, whole)].tolist() == sorted(ids)
