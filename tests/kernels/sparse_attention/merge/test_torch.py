import math

import pytest
import torch

from headrace.kernels.sparse_attention.merge._torch import merge_parts

pytestmark = pytest.mark.engine_env


def test_equal_weights_give_the_mean() -> None:
    out, lse = merge_parts(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[2.0, 2.0]]), torch.float32)
    assert out.tolist() == [[2.0]]
    assert float(lse[0]) == pytest.approx(2 + math.log(2))


def test_what_a_part_without_keys_holds_is_not_looked_at() -> None:
    out, lse = merge_parts(torch.tensor([[[math.nan], [3.0]]]), torch.tensor([[-math.inf, -50.0]]), torch.float16)
    assert out.tolist() == [[3.0]]
    assert lse.tolist() == [-50.0]
    assert out.dtype == torch.float16


@pytest.mark.parametrize("parts", [0, 2])
def test_no_keys_at_all_are_zero_and_minus_infinity(parts: int) -> None:
    out, lse = merge_parts(torch.full((1, parts, 4), math.nan), torch.full((1, parts), -math.inf), torch.float32)
    assert out.tolist() == [[0, 0, 0, 0]]
    assert lse.tolist() == [-math.inf]
