import math

import pytest
import torch

from headrace.kernels.sparse_attention.kv_quant.reference import round_row

pytestmark = pytest.mark.engine_env


def test_the_largest_lands_on_127_and_halves_go_to_even() -> None:
    row, scale = round_row(torch.tensor([254.0, 1.0, 3.0, -5.0]))
    assert scale == 2.0
    assert row.tolist() == [127, 0, 2, -2]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_zeros_and_a_nan(bad: float) -> None:
    row, scale = round_row(torch.tensor([1.0, bad]))
    assert row.tolist() == [0, 0]
    assert math.isnan(scale)


def test_zeros_stay_zeros() -> None:
    row, scale = round_row(torch.zeros(3))
    assert row.tolist() == [0, 0, 0]
    assert scale > 0
