import pytest
import torch

from headrace.kernels.expert_routing.gate import moe_gate
from tests.kernels.expert_routing.gate import cases
from tests.kernels.expert_routing.gate.cases import Case

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KERNELS", "torch")


@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_it_answers_as_the_reference_does(case: Case) -> None:
    case.agrees(moe_gate)


@pytest.mark.full
def test_it_answers_as_the_reference_does_over_the_long_matrix() -> None:
    for case in cases.every():
        case.agrees(moe_gate)


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_logits_that_are_no_numbers_are_absent_experts(scoring: str, has_bias: bool, groups: int) -> None:
    logits = cases.odd_logits()
    case = Case(logits.shape[0], 8, 3, scoring, has_bias, groups, 2 if groups > 1 else 1)
    bias = torch.arange(8.0) if has_bias else None
    weights, ids = moe_gate(logits, 3, bias=bias, **case.options())
    cases.agree((weights, ids), logits, case, bias)
    assert bool(weights.isfinite().all())


def test_of_equal_experts_the_lower_ids_win_in_order() -> None:
    logits = torch.randint(-1, 2, (64, 60), generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    cases.agree(moe_gate(logits, 8), logits, Case(64, 60, 8))


def test_an_absent_expert_of_an_open_group_comes_before_any_of_a_closed_one() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, float("nan")]])
    assert moe_gate(logits, 2, num_groups=2, topk_groups=1)[1].tolist() == [[2, 3]]


def test_zeros_of_either_sign_are_equal() -> None:
    assert moe_gate(torch.tensor([[-0.0, 0.0, -0.0, -1.0]]), 3)[1].tolist() == [[0, 1, 2]]


def test_a_bias_that_is_no_number_still_gives_each_expert_once_and_finite_weights() -> None:
    bias = torch.tensor([0.0, float("nan"), float("inf"), float("-inf"), 0.0, 0.0, 0.0, float("inf")])
    weights, ids = moe_gate(torch.zeros(2, 8), 6, scoring="sigmoid", bias=bias, num_groups=4, topk_groups=3)
    assert all(len(set(row)) == 6 for row in ids.tolist())
    assert bool(weights.isfinite().all())


def test_experts_and_choices_beyond_the_kernel_are_served() -> None:
    Case(3, 600, 20).agrees(moe_gate)
