import math

import pytest
import torch

from headrace.kernels.sparse_attention.prefill.reference import attend, sparse_prefill
from tests.kernels.sparse_attention.prefill.cases import prompt

pytestmark = pytest.mark.engine_env


def test_one_key_gives_its_value_and_its_score() -> None:
    case = prompt((1, 1), heads=1)
    out, lse = case.wanted()
    page = int(case.block_table[0, 0])
    assert torch.equal(out[0, 0], case.v_cache[page, 0, 0].double())
    assert float(lse[0, 0]) == pytest.approx(float(case.q[0, 0].double() @ case.k_cache[page, 0, 0].double()) / 8)


def test_two_keys_weigh_as_their_scores_say() -> None:
    q, keys = torch.tensor([2.0, 0.0]).double(), torch.tensor([[1.0, 5.0], [0.0, 7.0]]).double()
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    out, lse = attend(q, keys, values, 0.5, 0.0)
    assert out.tolist() == pytest.approx([math.e / (math.e + 1), 1 / (math.e + 1)])
    assert float(lse) == pytest.approx(math.log(math.e + 1))


def test_a_soft_cap_bounds_a_score() -> None:
    _, lse = attend(torch.tensor([100.0]).double(), torch.tensor([[9.0]]).double(), torch.ones(1, 1).double(), 1.0, 5.0)
    assert float(lse) == pytest.approx(5.0)


def test_nothing_to_see_is_zero_and_minus_infinity() -> None:
    out, lse = attend(torch.ones(3), torch.empty(0, 3), torch.empty(0, 3), None, 0.0)
    assert out.tolist() == [0, 0, 0]
    assert float(lse) == -math.inf


def test_a_window_counts_the_query_itself_and_sinks_are_out_of_it() -> None:
    case = prompt((1, 40), heads=1)
    case.k_cache.zero_()
    seen = {}
    for window, sink in ((1, 0), (7, 0), (7, 2), (400, 0)):
        _, lse = sparse_prefill(*case.tensors, **case.options, window=window, sink=sink)
        seen[window, sink] = round(math.exp(float(lse[0, 0])))
    assert seen == {(1, 0): 1, (7, 0): 7, (7, 2): 9, (400, 0): 40}
