import math

import pytest
import torch

from headrace.kernels.sparse_attention.decode.reference import sparse_decode
from tests.kernels.sparse_attention.decode.cases import requests

pytestmark = pytest.mark.engine_env


def test_equal_keys_give_the_mean_of_the_values_and_the_logarithm_of_their_number() -> None:
    case = requests((20, 3), group=2)
    out, lse = sparse_decode(
        torch.zeros(1, 4, 64).double(), *(each.double() for each in case.tensors[1:3]), *case.tensors[3:]
    )
    first, second = case.pages[0, 0, :2].tolist()
    values = torch.cat([case.v_cache[first, :, 0], case.v_cache[second, :4, 0]]).double()
    assert torch.allclose(out[0, 1], values.mean(0))
    assert lse[0].tolist() == pytest.approx([math.log(20), math.log(20), math.log(3), math.log(3)])


def test_each_kv_head_has_pages_of_its_own() -> None:
    case = requests((16, 16), group=1)
    other = case.pages.clone()
    other[0, 1] = other[0, 0]
    same, changed = (sparse_decode(*case.tensors[:3], pages, case.n_valid)[0] for pages in (case.pages, other))
    assert torch.equal(same[0, 0], changed[0, 0])
    assert not torch.equal(same[0, 1], changed[0, 1])


def test_a_list_without_tokens_is_zero_and_minus_infinity() -> None:
    out, lse = requests((0,)).wanted()
    assert not out.any()
    assert bool((lse == -math.inf).all())
