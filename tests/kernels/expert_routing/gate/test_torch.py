from functools import partial

import pytest
import torch

from headrace.kernels.expert_routing.gate import _torch, moe_gate
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


def test_the_largest_of_everything_has_keys_in_order() -> None:
    values = torch.tensor([float("-inf"), -3e38, -1.0, -1e-45, 0.0, 1e-45, 1.0, 3e38])
    keys = _torch._keys(values)
    assert bool((keys[1:] > keys[:-1]).all())
    assert int(_torch._keys(torch.tensor([-0.0]))[0]) == int(_torch._keys(torch.tensor([0.0]))[0])


def test_experts_and_choices_beyond_the_kernel_are_served() -> None:
    Case(3, 600, 20).agrees(partial(moe_gate))
