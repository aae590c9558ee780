import resource

import pytest
import torch

from tests.support.kernels import probes
from tests.support.kernels.strides import PAST_INT32, far


def _rows(values: torch.Tensor, *, wide: bool) -> torch.Tensor:
    spread = far(values)
    out = torch.full_like(values, -7)
    probes.copy_rows[(values.shape[0],)](spread, out, spread.stride(0), values.shape[1], BLOCK=16, WIDE=wide)
    return out


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
def test_a_kernel_with_64_bit_addresses_reads_the_far_rows(dtype: torch.dtype) -> None:
    values = torch.arange(1, 34).reshape(3, 11).to(dtype)
    assert torch.equal(_rows(values, wide=True), values)


def test_a_kernel_with_32_bit_addresses_reads_poison() -> None:
    values = torch.arange(1, 34).reshape(3, 11).to(torch.float16)
    out = _rows(values, wide=False)
    assert torch.equal(out[:2], values[:2])
    assert bool(out[2].isnan().all())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_can_be_the_far_one(axis: int) -> None:
    values = torch.randn(3, 4, 5)
    spread = far(values, axis=axis)
    assert torch.equal(spread, values)
    assert (values.shape[axis] - 1) * spread.stride(axis) >= PAST_INT32
    assert spread.stride(axis) < PAST_INT32


def test_little_memory_is_touched() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    far(torch.randn(5, 64))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_one_place_along_the_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="axis 0 has 1 places"):
        far(torch.ones(1, 3))
