import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.gate import moe_gate, unsupported_reason
from tests.kernels.expert_routing.gate.cases import Case

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"logits": torch.zeros(4)}, r"logits has shape \(4,\); wanted \[T, E\]"),
        ({"top_k": 0}, r"top_k=0; wanted 1\.\.8"),
        ({"top_k": 9}, r"top_k=9; wanted 1\.\.8"),
        ({"scoring": "tanh"}, "scoring='tanh'; wanted one of softmax, sigmoid"),
        ({"bias": torch.zeros(7)}, r"bias has shape \(7,\); wanted \[8\]"),
        ({"num_groups": 3}, "num_groups=3 does not divide 8 experts"),
        ({"num_groups": 0}, "num_groups=0 does not divide 8 experts"),
        ({"num_groups": 4, "topk_groups": 5}, r"topk_groups=5; wanted 1\.\.4"),
        ({"num_groups": 4, "topk_groups": 1, "top_k": 3}, r"top_k=3; wanted 1\.\.2, the experts of 1 of 4 groups"),
        ({"bias": torch.zeros(8, device="meta")}, "bias is on meta and logits on cpu"),
        ({"logits": torch.zeros(8, 4).t()}, r"logits has strides \(1, 4\); wanted 1 on the last axis"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(wrong: dict[str, object], said: str) -> None:
    arguments: dict[str, object] = {"logits": torch.zeros(4, 8), "top_k": 2} | wrong
    with pytest.raises(ValueError, match=said):
        moe_gate(**arguments)  # type: ignore[arg-type]


def test_types_that_are_no_logits_are_refused() -> None:
    with pytest.raises(TypeError, match=r"logits has dtype torch\.int32"):
        moe_gate(torch.zeros(4, 8, dtype=torch.int32), 2)
    with pytest.raises(TypeError, match=r"bias has dtype torch\.float64"):
        moe_gate(torch.zeros(4, 8), 2, bias=torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((512, 16), None),
        ((513, 2), "experts"),
        ((64, 17), "top-k"),
    ],
)
def test_what_the_kernel_cannot_take_has_a_lasting_word(shape: tuple[int, int], reason: str | None) -> None:
    assert unsupported_reason(*shape) == reason


def test_a_shape_beyond_the_kernel_is_served_by_torch_and_counted() -> None:
    Case(3, 600, 20).agrees(moe_gate)
    assert dispatch.refusals() == {("moe_gate", "experts"): 1}


def test_insisting_on_the_kernel_for_such_a_shape_says_why_not(kernels: None) -> None:
    del kernels
    with pytest.raises(dispatch.KernelRefused, match="moe_gate: top-k"):
        moe_gate(torch.zeros(3, 64), 17)


@pytest.mark.parametrize("has_bias", [False, True])
def test_it_is_a_torch_operator_with_a_fake_that_fits(has_bias: bool) -> None:
    bias = torch.zeros(8) if has_bias else None
    options = {"scoring": "sigmoid", "num_groups": 2, "topk_groups": 2, "renormalize": True, "scale": 1.0}
    torch.library.opcheck(torch.ops.headrace.moe_gate.default, (torch.randn(5, 8), 3, bias), options)


def test_a_compiled_caller_has_no_graph_break_and_any_number_of_tokens() -> None:
    def route(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights, ids = moe_gate(logits * 2, 2, scoring="sigmoid", scale=2.5)
        return weights + 0, ids

    compiled = torch.compile(route, backend="eager", fullgraph=True, dynamic=True)
    for tokens in (5, 9):
        logits = torch.randn(tokens, 8, generator=torch.Generator().manual_seed(tokens))
        for got, wanted in zip(compiled(logits), route(logits), strict=True):
            assert torch.equal(got, wanted)
