import pytest

from headrace.retrieval.nearest.choice import FEWEST, FLAT_UNTIL, Kind, suited


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [
        (0, None, "flat"),
        (FLAT_UNTIL - 1, None, "flat"),
        (FLAT_UNTIL, None, "ivf"),
        (10, "hnsw", "flat"),
        (FEWEST, "hnsw", "hnsw"),
        (10**6, "flat", "flat"),
    ],
)
def test_the_kind_follows_the_count_unless_another_is_wanted(count: int, wanted: Kind | None, expected: Kind) -> None:
    assert suited(count, wanted) == expected
