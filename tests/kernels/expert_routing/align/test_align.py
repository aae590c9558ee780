import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.align import max_blocks, moe_align, unsupported_reason
from tests.kernels.expert_routing.align import cases
from tests.kernels.expert_routing.align.cases import Case

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ids": torch.zeros(4, dtype=torch.int32)}, r"ids has shape \(4,\); wanted \[T, k\]"),
        ({"num_experts": 0}, "num_experts=0; wanted at least 1"),
        ({"block_m": 0}, "block_m=0; wanted at least 1"),
        ({"num_experts": 2}, r"ids has values 0\.\.2; wanted -1\.\.1"),
        ({"ids": torch.full((1, 2), -2, dtype=torch.int32)}, r"ids has values -2\.\.-2; wanted -1\.\.2"),
        ({"block_m": 2**30}, r"\(2, 2\) over 3 experts in blocks of 1073741824 take 3221225472 rows"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(wrong: dict[str, object], said: str) -> None:
    ids = torch.tensor([[0, 1], [2, 0]], dtype=torch.int32)
    arguments: dict[str, object] = {"ids": ids, "num_experts": 3, "block_m": 16} | wrong
    with pytest.raises(ValueError, match=said):
        moe_align(**arguments)  # type: ignore[arg-type]


def test_ids_that_are_no_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"ids has dtype torch\.float32; wanted torch\.int32 or torch\.int64"):
        moe_align(torch.zeros(2, 2), 3, 16)


@pytest.mark.parametrize("places", [0, 1, 7, 64, 1000])
@pytest.mark.parametrize("experts", [1, 8, 60])
@pytest.mark.parametrize("block_m", [1, 3, 16])
def test_max_blocks_is_what_the_worst_ids_need(places: int, experts: int, block_m: int) -> None:
    most = max_blocks(places, experts, block_m)
    alone = min(places, experts)
    rest = places - alone
    worst = alone + rest // block_m
    assert most == max(1, worst)


def test_experts_beyond_the_kernels_are_served_by_torch_and_counted() -> None:
    cases.agrees(Case(9, 8, 1025, 16).inputs(), 1025, 16)
    assert dispatch.refusals() == {("moe_align", "experts"): 1}
    assert unsupported_reason(1024) is None


def test_it_is_a_torch_operator_with_a_fake_that_fits() -> None:
    for tokens in (0, 5):
        torch.library.opcheck(torch.ops.headrace.moe_align.default, (Case(tokens, 2, 8, 16).inputs(), 8, 16))


def test_a_compiled_caller_has_no_graph_break_and_any_number_of_tokens() -> None:
    def lists(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sorted_ids, expert_ids, num_post = moe_align(ids + 0, 8, 16)
        return sorted_ids + 0, expert_ids, num_post

    compiled = torch.compile(lists, backend="eager", fullgraph=True, dynamic=True)
    for tokens in (5, 9):
        ids = Case(tokens, 2, 8, 16).inputs()
        cases.same(compiled(ids), lists(ids))
