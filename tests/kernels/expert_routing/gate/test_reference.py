import math

import pytest
import torch

from headrace.kernels.expert_routing.gate.reference import EPSILON, best, gate

pytestmark = pytest.mark.engine_env


def test_weights_are_the_softmax_of_the_chosen_in_double_precision() -> None:
    weights, ids = gate(torch.tensor([[0.0, math.log(2), math.log(5)]]), 2, renormalize=False)
    assert weights.dtype == torch.float64
    assert ids.tolist() == [[2, 1]]
    torch.testing.assert_close(weights, torch.tensor([[5 / 8, 2 / 8]], dtype=torch.float64), atol=1e-7, rtol=0)


def test_renormalised_weights_sum_to_the_scale() -> None:
    weights, _ = gate(torch.tensor([[0.0, math.log(2), math.log(5)]]), 2, scale=3.0)
    torch.testing.assert_close(weights, torch.tensor([[15 / 7, 6 / 7]], dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_bias_steers_the_choice_and_leaves_the_weights() -> None:
    weights, ids = gate(torch.zeros(1, 3), 1, scoring="sigmoid", bias=torch.tensor([0.0, 0.0, 1.0]), renormalize=False)
    assert ids.tolist() == [[2]]
    assert weights.tolist() == [[0.5]]


def test_with_a_bias_a_group_is_judged_by_its_two_best_and_without_by_its_best() -> None:
    logits = torch.tensor([[2.0, -9.0, -9.0, 1.0, 1.0, 0.0]])
    options = {"scoring": "sigmoid", "num_groups": 2, "topk_groups": 1}
    assert gate(logits, 1, **options)[1].tolist() == [[0]]
    assert gate(logits, 2, bias=torch.zeros(6), **options)[1].tolist() == [[3, 4]]


def test_equal_ones_come_in_order_and_nan_comes_last() -> None:
    assert best(torch.tensor([[1.0, math.nan, 3.0, 1.0, 3.0, -math.inf]]), 6).tolist() == [[2, 4, 0, 3, 5, 1]]


def test_an_absent_expert_comes_last_with_no_weight() -> None:
    weights, ids = gate(torch.tensor([[math.nan, -math.inf, -50.0, 0.0]]), 4, bias=torch.tensor([9.0, 9.0, 0.0, 0.0]))
    assert ids.tolist() == [[3, 2, 0, 1]]
    assert weights[0, 2:].tolist() == [0.0, 0.0]


def test_a_row_of_absent_experts_weighs_nothing() -> None:
    assert gate(torch.full((1, 4), math.nan), 2)[0].tolist() == [[0.0, 0.0]]
    assert EPSILON > 0
