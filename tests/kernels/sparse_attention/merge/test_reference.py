import math

import pytest
import torch

from headrace.kernels.sparse_attention.merge.reference import merge_parts

pytestmark = pytest.mark.engine_env


def test_splitting_a_softmax_and_merging_it_is_the_softmax() -> None:
    chance = torch.Generator().manual_seed(0)
    scores, values = torch.randn(7, generator=chance).double(), torch.randn(7, 3, generator=chance).double()
    cuts = [slice(0, 2), slice(2, 3), slice(3, 7)]
    o = torch.stack([scores[cut].softmax(0) @ values[cut] for cut in cuts])
    lse = torch.stack([scores[cut].logsumexp(0) for cut in cuts])
    out, merged = merge_parts(o[None], lse[None])
    assert torch.allclose(out[0], scores.softmax(0) @ values)
    assert torch.allclose(merged[0], scores.logsumexp(0))


def test_parts_without_keys_count_for_nothing() -> None:
    out, lse = merge_parts(
        torch.tensor([[[math.nan], [5.0]], [[1.0], [1.0]]]), torch.tensor([[-math.inf, 1.0], [-math.inf] * 2])
    )
    assert out.tolist() == [[5.0], [0.0]]
    assert lse.tolist() == [1.0, -math.inf]
