import pytest
import torch

from headrace.kernels.expert_routing.gemm.reference import moe_gemm
from headrace.kernels.quant_layout import pack_int4
from tests.support.kernels import routing

pytestmark = pytest.mark.engine_env


def test_the_plain_statement_is_right_on_a_product_done_by_hand() -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    w = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 2.0]]])
    align = routing.align(torch.tensor([[2, 0], [1, -1]]), 3, 16)
    got = moe_gemm(a, w, None, None, align, top_k=2, mul_weight=torch.tensor([1.0, 10.0, 1.0, 1.0]))
    assert got.tolist() == [[4.0], [10.0], [7.0], [0.0]]


def test_int4_values_are_less_eight_or_less_their_zero_point_times_their_scale() -> None:
    a = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
    w = pack_int4(torch.tensor([[[0, 15, 8, 9]]]))
    scale = torch.tensor([[[2.0, 0.5]]])
    align = routing.align(torch.tensor([[0]]), 1, 16)
    assert moe_gemm(a, w, scale, None, align, top_k=1, mul_weight=None).tolist() == [[-16 + 140 + 0 + 500]]
    zp = torch.tensor([[[0, 9]]], dtype=torch.uint8)
    assert moe_gemm(a, w, scale, zp, align, top_k=1, mul_weight=None).tolist() == [[0 + 300 - 50 + 0]]


def test_swiglu_is_the_first_half_through_silu_times_the_second() -> None:
    a = torch.tensor([[1.0]])
    w = torch.tensor([[[1.0], [2.0], [3.0], [-5.0]]])
    align = routing.align(torch.tensor([[0]]), 1, 16)
    got = moe_gemm(a, w, None, None, align, top_k=1, mul_weight=None, swiglu=True)
    silu = [one / (1 + 2.718281828459045**-one) for one in (1.0, 2.0)]
    torch.testing.assert_close(got, torch.tensor([[silu[0] * 3, silu[1] * -5]], dtype=torch.float64))
