import pytest
import torch

from headrace.kernels.expert_routing.align import moe_align, reference
from tests.kernels.expert_routing.align import cases
from tests.kernels.expert_routing.align.cases import Case

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KERNELS", "torch")


@pytest.mark.parametrize("case", [*cases.some(), *cases.every()[::7]], ids=str)
def test_it_answers_as_the_reference_does(case: Case) -> None:
    cases.agrees(case.inputs(), case.experts, case.block_m)


def test_ids_outside_the_experts_are_dropped_where_nobody_checks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor([[0, 5, -3], [4, 2**40, 1]])
    monkeypatch.setattr("headrace.kernels.expert_routing.align.check_range", lambda *_: None)
    cases.same(moe_align(ids, 5, 2), reference.align(torch.tensor([[0, -1, -1], [4, -1, 1]]), 5, 2))


def test_more_experts_than_the_kernels_take_are_served() -> None:
    cases.agrees(Case(9, 8, 1500, 16).inputs(), 1500, 16)
