import math

import pytest
import torch

from headrace.kernels.sparse_attention.merge import merge_parts, reference
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import allocations_guarded, guard
from tests.support.kernels.strides import far
from tests.support.kernels.tolerance import close

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


def _parts(rows: int, parts: int, head_dim: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return parts, some without keys, one row with none at all: their o is NaN, and not to be looked at."""
    chance = torch.Generator().manual_seed(rows * parts)
    lse = 9 * torch.randn(rows, parts, generator=chance)
    lse[torch.rand(rows, parts, generator=chance) < 0.3] = -math.inf
    lse[0] = -math.inf
    o = torch.randn(rows, parts, head_dim, generator=chance).to(dtype)
    return o.masked_fill(lse[..., None] == -math.inf, math.nan), lse


@pytest.mark.parametrize(
    ("rows", "parts", "head_dim", "dtype"),
    [(7, 3, 64, torch.float32), (3, 33, 96, torch.float16), (2, 1, 80, torch.float32), (3, 64, 33, torch.bfloat16)],
)
def test_it_answers_as_the_reference_does_and_stays_inside_its_buffers(
    rows: int, parts: int, head_dim: int, dtype: torch.dtype
) -> None:
    o, lse = _parts(rows, parts, head_dim, dtype)
    inputs = [guard(o), guard(lse)]
    with allocations_guarded(), exact_bf16():
        found = merge_parts(*(one.tensor for one in inputs))
    for one in inputs:
        one.check()
    for got, want in zip(found, reference.merge_parts(o.double(), lse.double()), strict=True):
        close(got, want, dtype, parts)


@pytest.mark.parametrize("shape", [(0, 3, 64), (2, 0, 64)])
def test_nothing_to_merge_is_zero_and_minus_infinity(shape: tuple[int, int, int]) -> None:
    out, lse = merge_parts(torch.empty(shape), torch.empty(shape[:2]))
    assert torch.equal(out, torch.zeros(shape[0], 64))
    assert torch.equal(lse, torch.full((shape[0],), -math.inf))


def test_strides_are_followed_past_32_bits() -> None:
    o, lse = _parts(5, 3, 64, torch.float32)
    want = reference.merge_parts(o.double(), lse.double())
    for apart in (far(o, axis=0), far(o, axis=1)):
        for got, each in zip(merge_parts(apart, lse.T.contiguous().T), want, strict=True):
            close(got, each, torch.float32, 3)
