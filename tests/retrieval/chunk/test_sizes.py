import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.chunk.sizes import AUTO, Sizes, fit


def test_what_fits_stays() -> None:
    assert fit(AUTO, 254) == AUTO
    assert fit(Sizes(100, 50), 254) == Sizes(100, 50)


def test_what_openai_takes_is_brought_down_in_proportion() -> None:
    assert fit(Sizes(800, 400), 254) == Sizes(203, 101)
    assert fit(Sizes(4096, 0), 254) == Sizes(203, 0)


def test_a_small_window_bounds_the_default_too() -> None:
    assert fit(AUTO, 126) == Sizes(126, 25)


@pytest.mark.parametrize("sizes", [Sizes(15, 0), Sizes(100, 51), Sizes(100, -1), Sizes(0, 0)])
def test_sizes_that_make_no_passages_are_refused(sizes: Sizes) -> None:
    with pytest.raises(InvalidRequest, match="tokens"):
        fit(sizes, 254)
