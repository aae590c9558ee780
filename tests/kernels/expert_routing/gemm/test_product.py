import pytest
import torch

from headrace.kernels.expert_routing.gemm.product import Product
from tests.kernels.expert_routing.gemm.cases import SINGLE, Case

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize(
    ("case", "bits", "group"),
    [
        (Case(), 16, 0),
        (Case(dtype=SINGLE), 32, 0),
        (Case(bits=8, group=32), 8, 32),
        (Case(bits=8, group=32, symmetric=False), 8, 32),
        (Case(bits=4, group=48), 4, 48),
        (Case(bits=4), 4, 0),
    ],
    ids=str,
)
def test_bits_and_group_are_told_from_the_operands(case: Case, bits: int, group: int) -> None:
    experts = case.weights()
    product = Product(torch.zeros(3, case.k, dtype=case.dtype), *(experts.w, experts.scale, experts.zp), 2, None, False)  # noqa: FBT003  (its last field)
    assert (product.bits, product.group) == (bits, group)
