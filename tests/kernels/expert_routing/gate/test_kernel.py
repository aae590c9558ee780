from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gate import moe_gate, reference
from tests.kernels.expert_routing.gate import cases
from tests.kernels.expert_routing.gate.cases import Case
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import allocations_guarded, guard
from tests.support.kernels.strides import far

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    """Let exp of a large number be inf without a word: the interpreter's numpy would warn."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def block_t(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a program take as many tokens as the list says: the interpreter's time goes by programs."""
    wanted = [16]
    row = {"num_warps": 1, "num_stages": 1}
    monkeypatch.setattr(tuned, "choose", lambda *_, **__: {**row, "block_t": wanted[0]})
    return wanted


@pytest.mark.usefixtures("block_t")
@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_it_answers_as_the_reference_does(case: Case) -> None:
    case.agrees(moe_gate)


@pytest.mark.full
@pytest.mark.usefixtures("block_t")
@pytest.mark.parametrize("case", cases.every(), ids=str)
def test_it_answers_as_the_reference_does_over_the_long_matrix(case: Case) -> None:
    case.agrees(moe_gate)


@pytest.mark.usefixtures("block_t")
@pytest.mark.parametrize("has_bias", [False, True])
def test_bfloat16_logits_answer_as_the_reference_does(has_bias: bool) -> None:
    with exact_bf16():
        Case(7, 128, 8, "sigmoid", has_bias, dtype=torch.bfloat16).agrees(moe_gate)


def test_one_token_a_program_is_what_the_table_gives_to_small_batches() -> None:
    Case(3, 60, 4, "sigmoid", has_bias=True, groups=4, open_groups=2).agrees(moe_gate)


@pytest.mark.usefixtures("block_t")
@pytest.mark.parametrize(("has_bias", "groups"), [(False, 1), (True, 1), (False, 4), (True, 4)])
def test_of_equal_experts_the_lower_ids_win_in_order(has_bias: bool, groups: int) -> None:
    case = Case(9, 24, 6, "sigmoid", has_bias, groups, 3 if groups > 1 else 1)
    logits = torch.randint(-1, 2, (9, 24), generator=torch.Generator().manual_seed(1)).float()
    logits[0] = 0.0
    bias = torch.zeros(24) if has_bias else None
    answer = moe_gate(logits, 6, bias=bias, **case.options())
    assert answer[1][0].tolist() == [0, 1, 2, 3, 4, 5]
    _, wanted = reference.gate(logits, 6, bias=bias, **case.options())
    assert torch.equal(answer[1].to(torch.int64), wanted)


@pytest.mark.usefixtures("block_t")
@pytest.mark.parametrize(("scoring", "has_bias", "groups"), [*product(("softmax", "sigmoid"), (False, True), (1, 4))])
def test_logits_that_are_no_numbers_are_absent_experts_and_leave_no_nan(
    scoring: str, has_bias: bool, groups: int
) -> None:
    logits = cases.odd_logits()
    case = Case(logits.shape[0], 8, 3, scoring, has_bias, groups, 2 if groups > 1 else 1)
    bias = torch.arange(8.0) if has_bias else None
    weights, ids = moe_gate(logits, 3, bias=bias, **case.options())
    cases.agree((weights, ids), logits, case, bias)
    assert bool(weights.isfinite().all())
    absent = logits.isnan() | logits.isneginf()
    assert not weights[absent.gather(1, ids.to(torch.int64))].any()
    assert ids[:2].tolist() == [[0, 1, 2]] * 2


@pytest.mark.usefixtures("block_t")
def test_a_bias_that_is_no_number_still_gives_each_expert_once_and_finite_weights() -> None:
    logits, bias = torch.randn(5, 8, generator=torch.Generator().manual_seed(2)), torch.zeros(8)
    bias[1], bias[4], bias[6] = float("nan"), float("inf"), float("-inf")
    weights, ids = moe_gate(logits, 6, scoring="sigmoid", bias=bias, num_groups=2, topk_groups=2)
    assert all(len(set(row)) == 6 and 0 <= min(row) <= max(row) < 8 for row in ids.tolist())
    assert bool(weights.isfinite().all())


def test_it_stays_inside_its_buffers_and_writes_all_of_them(block_t: list[int]) -> None:
    block_t[0] = 4
    case = Case(7, 60, 5, has_bias=True, groups=4, open_groups=2)
    logits, bias = case.inputs()
    assert bias is not None
    inputs = [guard(logits, strides=(67, 1)), guard(bias)]
    with allocations_guarded() as made:
        answer = moe_gate(inputs[0].tensor, 5, bias=inputs[1].tensor, **case.options())
    assert len(made) > 1
    for one in inputs:
        one.check()
    cases.agree(answer, logits, case, bias)


@pytest.mark.usefixtures("block_t")
def test_rows_more_than_2_to_the_31_elements_apart_are_found() -> None:
    case = Case(3, 60, 4)
    logits, _ = case.inputs()
    cases.agree(moe_gate(far(logits), 4, **case.options()), logits, case)
