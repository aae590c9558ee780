from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.models import Price


@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [(0, 0, 0), (1_000_000, 0, 600_000), (1, 0, 1), (0, 1, 2), (1, 1, 2), (5, 0, 3), (7, 3, 10)],
)
def test_cost_is_whole_microusd_rounded_half_up(prompt: int, completion: int, expected: int) -> None:
    assert Price(Decimal("0.60"), Decimal("1.80")).cost_microusd(prompt, completion) == expected


def test_exactly_half_a_microusd_is_rounded_up() -> None:
    assert Price(Decimal("0.5"), Decimal(0)).cost_microusd(1, 0) == 1
    assert Price(Decimal("0.5"), Decimal(0)).cost_microusd(3, 0) == 2


def test_a_free_model_costs_nothing() -> None:
    assert Price(Decimal(0), Decimal(0)).cost_microusd(10**9, 10**9) == 0


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.decimals(0, 1000, places=4), st.decimals(0, 1000, places=4))
def test_the_error_of_rounding_is_at_most_half_a_microusd(
    prompt: int, completion: int, dear: Decimal, dearer: Decimal
) -> None:
    exact = prompt * dear + completion * dearer
    assert abs(Price(dear, dearer).cost_microusd(prompt, completion) - exact) <= Decimal("0.5")
