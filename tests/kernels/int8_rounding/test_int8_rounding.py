import pytest

torch = pytest.importorskip("torch", reason="torch lives in the engine environment")

from headrace.kernels.int8_rounding import INT8_LIMIT, restore, round_rows  # noqa: E402
from headrace.kernels.int8_rounding import reference as plain  # noqa: E402

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("rows", [1, 7, 63, 1000])
@pytest.mark.parametrize("columns", [1, 7, 64, 1000])
def test_rounding_agrees_with_the_plain_statement(rows: int, columns: int) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows * columns))
    rounded, scales = round_rows(weight)
    expected, expected_scales = plain.round_rows(weight)
    assert torch.equal(rounded, expected)
    torch.testing.assert_close(scales, expected_scales)


def test_an_entry_is_off_by_half_a_scale_at_most() -> None:
    weight = torch.randn(33, 257, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rounded, scales = round_rows(weight)
    error = (restore(rounded, scales, torch.float64) - weight).abs()
    assert bool((error <= scales.to(torch.float64) * 0.5 * (1 + 1e-6)).all())


def test_the_largest_of_each_row_lands_on_the_limit() -> None:
    rounded, _ = round_rows(torch.tensor([[1.0, -2.0], [0.5, 0.25]]))
    assert rounded.abs().amax(1).tolist() == [INT8_LIMIT, INT8_LIMIT]


def test_a_row_of_zeros_stays_zero() -> None:
    rounded, scales = round_rows(torch.zeros(2, 5))
    assert not restore(rounded, scales).any()


def test_rows_over_several_blocks_are_each_written() -> None:
    weight = torch.randn(5000, 2000, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    rounded, scales = round_rows(weight)
    expected, _ = plain.round_rows(weight.to(torch.float32))
    assert torch.equal(rounded, expected)
    assert bool((scales > 0).all())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        round_rows(torch.tensor([[1.0, bad]]))


def test_other_types_and_shapes_are_refused_with_what_was_given() -> None:
    with pytest.raises(TypeError, match=r"torch\.int64"):
        round_rows(torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        round_rows(torch.zeros(3))
    with pytest.raises(ValueError, match="int8 rows with scales"):
        restore(torch.zeros(2, 2), torch.zeros(2, 1))
