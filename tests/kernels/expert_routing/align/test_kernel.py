import pytest
import torch

from headrace.kernels import tuned
from headrace.kernels.expert_routing.align import _kernel, max_blocks, moe_align, reference
from tests.kernels.expert_routing.align import cases
from tests.kernels.expert_routing.align.cases import Case
from tests.support.kernels.canaries import allocations_guarded, guard, guarded
from tests.support.kernels.strides import far

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_it_answers_as_the_reference_does(case: Case) -> None:
    cases.agrees(case.inputs(), case.experts, case.block_m)


@pytest.mark.full
@pytest.mark.parametrize("case", cases.every(), ids=str)
def test_it_answers_as_the_reference_does_over_the_long_matrix(case: Case) -> None:
    cases.agrees(case.inputs(), case.experts, case.block_m)


@pytest.mark.parametrize(("tokens", "launches"), [(8, ["align"]), (64, ["align"]), (65, ["count", "scan", "scatter"])])
def test_small_batches_take_one_launch(monkeypatch: pytest.MonkeyPatch, tokens: int, launches: list[str]) -> None:
    seen: list[str] = []
    for name in ("align", "count", "scan", "scatter"):
        monkeypatch.setattr(_kernel, f"{name}_kernel", _Counted(getattr(_kernel, f"{name}_kernel"), name, seen))
    cases.agrees(Case(tokens, 8, 60, 16).inputs(), 60, 16)
    assert seen == launches


class _Counted:
    """A kernel that tells when it is launched."""

    def __init__(self, kernel: object, name: str, seen: list[str]) -> None:
        self._kernel, self._name, self._seen = kernel, name, seen

    def __getitem__(self, grid: tuple[int, ...]) -> object:
        self._seen.append(self._name)
        return self._kernel[grid]  # type: ignore[index]


def test_more_chunks_than_the_scan_takes_at_once_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**tuned.table("sm_90")["moe_align"][-1], "block_n": 16, "block_j": 16, "block_p": 4, "block_scan": 16}
    monkeypatch.setattr(tuned, "choose", lambda *_, **__: row)
    case = Case(33, 6, 20, 4)
    cases.agrees(case.inputs(), case.experts, case.block_m)


@pytest.mark.parametrize("tokens", [9, 200])
def test_ids_outside_the_experts_are_dropped_where_nobody_checks_them(
    monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    ids = Case(tokens, 3, 9, 4).inputs().to(torch.int64)
    dropped = ids.clone()
    ids[::3, 0], dropped[::3, 0] = 9, -1
    ids[1::3, 1], dropped[1::3, 1] = -7, -1
    ids[2::3, 2], dropped[2::3, 2] = 2**32 + 1, -1
    monkeypatch.setattr("headrace.kernels.expert_routing.align.check_range", lambda *_: None)
    cases.same(moe_align(ids, 9, 4), reference.align(dropped, 9, 4))


@pytest.mark.parametrize("tokens", [5, 180])
def test_it_stays_inside_its_buffers_and_writes_all_of_them(tokens: int) -> None:
    ids = guard(Case(tokens, 3, 8, 4).inputs())
    with allocations_guarded() as made:
        answer = moe_align(ids.tensor, 8, 4)
    assert len(made) > 1
    ids.check()
    cases.same(answer, reference.align(ids.tensor, 8, 4))


def test_the_counts_of_chunks_lie_as_far_apart_as_they_must() -> None:
    counts, totals = far(torch.ones(3, 4, dtype=torch.int32)), guarded((4,), torch.int32)
    row = counts.stride(0)
    _kernel.scan_kernel[(1,)](counts, totals.tensor, row, 3, BLOCK_P=4, BLOCK_E=4)
    totals.check()
    assert counts.tolist() == [[0] * 4, [1] * 4, [2] * 4]
    assert totals.tensor.tolist() == [3] * 4


def test_ids_with_gaps_between_rows_are_read_in_order() -> None:
    ids = Case(33, 3, 60, 16).inputs()
    cases.agrees(far(ids), 60, 16)
    cases.agrees(ids.t(), 60, 16)


def test_the_lists_have_the_most_blocks_that_any_ids_can_need() -> None:
    ids = torch.arange(30, dtype=torch.int32).view(10, 3) % 8
    sorted_ids, expert_ids, num_post = moe_align(ids, 8, 4)
    assert expert_ids.numel() == max_blocks(30, 8, 4) == 13
    assert sorted_ids.numel() == 52
    assert int(num_post) == 32
