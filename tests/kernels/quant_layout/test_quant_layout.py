import dataclasses

import pytest
import torch

from headrace.kernels.quant_layout import ExpertQuant, pack_int4, restore, weight_bits

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize(
    ("dtype", "stored", "bits"),
    [
        (torch.uint8, 32, 4),
        (torch.uint8, 64, 8),
        (torch.int8, 64, 8),
        (torch.bfloat16, 64, 16),
        (torch.float32, 64, 32),
    ],
)
def test_the_width_of_a_weight_is_told_by_its_type_and_last_axis(dtype: torch.dtype, stored: int, bits: int) -> None:
    assert weight_bits(torch.zeros((2, 3, stored), dtype=dtype), 64) == bits


def test_a_last_axis_that_fits_nothing_is_refused_with_what_would() -> None:
    with pytest.raises(ValueError, match=r"w has 16 values a row and dtype torch\.uint8; wanted 64 or 32"):
        weight_bits(torch.zeros((2, 16), dtype=torch.uint8), 64)
    with pytest.raises(ValueError, match=r"w13 has 32 values a row and dtype torch\.int8; wanted 64$"):
        weight_bits(torch.zeros((2, 32), dtype=torch.int8), 64, "w13")


def test_values_are_less_their_zero_times_the_scale_of_their_group() -> None:
    codes = torch.tensor([[0, 8, 15, 4]])
    scale, zp = torch.tensor([[1.0, 10.0]]), torch.tensor([[1, 5]], dtype=torch.uint8)
    as_float = {"k": 4, "dtype": torch.float32}
    assert restore(pack_int4(codes), scale, None, **as_float).tolist() == [[-8, 0, 70, -40]]
    assert restore(pack_int4(codes), scale, zp, **as_float).tolist() == [[-1, 7, 100, -10]]
    assert restore(codes.to(torch.uint8), scale, zp, **as_float).tolist() == [[-1, 7, 100, -10]]
    assert restore(codes.to(torch.int8) - 8, scale, None, **as_float).tolist() == [[-8, 0, 70, -40]]


def test_a_float_weight_is_only_converted() -> None:
    weight = torch.randn(2, 3, 4)
    assert torch.equal(restore(weight, None, None, k=4, dtype=torch.float64), weight.double())


def test_scales_of_a_layer_cannot_be_exchanged_by_accident() -> None:
    quant = ExpertQuant(torch.ones(1, 2, 1), torch.ones(1, 2, 1))
    assert quant.w13_zp is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        quant.w2_scale = torch.zeros(1)  # type: ignore[misc]
