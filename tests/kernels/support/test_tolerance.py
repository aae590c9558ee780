import pytest
import torch

from tests.support.kernels.tolerance import close

WANT = torch.tensor([[1.0, -8.0], [0.0, 2.0]], dtype=torch.float64)


def test_a_result_within_the_rounding_of_its_sums_passes() -> None:
    close((WANT + 8 * 2**-23).to(torch.float32), WANT, torch.float32, 4)


def test_the_worst_element_is_named_with_both_values() -> None:
    got = WANT.to(torch.float32)
    got[1, 0] = 0.5
    with pytest.raises(AssertionError, match=r"worst at \[1, 0\]: got 0.5, wanted 0"):
        close(got, WANT, torch.float16, 16)


def test_the_limit_grows_with_the_root_of_the_sum_and_with_the_largest_value() -> None:
    off = (WANT + 8 * 2**-23 * 6).to(torch.float32)
    close(off, WANT, torch.float32, 16, c=2)
    with pytest.raises(AssertionError, match="off by"):
        close(off, WANT, torch.float32, 4, c=2)


def test_a_nan_where_a_number_belongs_fails_however_wide_the_tolerance() -> None:
    got = WANT.to(torch.float32)
    got[0, 0] = float("nan")
    with pytest.raises(AssertionError, match="not finite alike"):
        close(got, WANT, torch.float32, 10**9)


def test_nan_and_infinities_must_stand_in_the_same_places() -> None:
    want = torch.tensor([float("nan"), float("-inf"), 1.0], dtype=torch.float64)
    close(want.to(torch.float32), want, torch.float32, 1)
    with pytest.raises(AssertionError, match="not finite alike"):
        close(torch.tensor([0.0, float("-inf"), 1.0]), want, torch.float32, 1)
    with pytest.raises(AssertionError, match="not finite alike"):
        close(torch.tensor([float("nan"), float("inf"), 1.0]), want, torch.float32, 1)


def test_another_shape_or_a_coarse_reference_is_refused() -> None:
    with pytest.raises(AssertionError, match="shape"):
        close(torch.zeros(2), WANT, torch.float32, 1)
    with pytest.raises(AssertionError, match="float64"):
        close(torch.zeros(2), torch.zeros(2), torch.float32, 1)


def test_empty_results_are_close() -> None:
    close(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.float64), torch.float32, 8)
