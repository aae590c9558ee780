import pytest
import torch

from headrace.kernels.sparse_attention.select import _launch, _torch
from tests.support.kernels.block_choice import batch


@pytest.mark.parametrize(("size", "least", "found"), [(0, 1, 1), (1, 1, 1), (3, 1, 4), (64, 16, 64), (5, 16, 16)])
def test_sizes_are_rounded_up_to_powers_of_two(size: int, least: int, found: int) -> None:
    assert _launch.power_of_two(size, least) == found


def test_pools_are_those_of_torch_rounded_once() -> None:
    given, choice = batch((5, 0, 2), (0, 0, 0), minmax=True, block_q=3)
    found = _launch.pool(given.q, given.cu_seqlens, choice, torch.float16)
    torch.testing.assert_close(found, _torch.pool(given.q, given.cu_seqlens, choice).half(), rtol=1e-3, atol=0)
