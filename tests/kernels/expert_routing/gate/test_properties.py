from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gate import moe_gate

pytestmark = pytest.mark.engine_env

Call = tuple[torch.Tensor, int, dict[str, Any]]


@st.composite
def calls(draw: st.DrawFn, *, scoring: str | None = None) -> Call:
    """Draw logits that differ within each row, top_k and options."""
    groups = draw(st.sampled_from([1, 2, 5]))
    size = draw(st.integers(2, 9))
    open_groups = draw(st.integers(1, groups))
    tokens = draw(st.integers(1, 3))
    chance = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    steps = torch.rand(tokens, groups * size, generator=chance).argsort(1) - groups * size // 2
    options: dict[str, Any] = {
        "scoring": scoring or draw(st.sampled_from(["softmax", "sigmoid"])),
        "num_groups": groups,
        "topk_groups": open_groups,
        "scale": draw(st.sampled_from([0.5, 1.0, 2.5])),
    }
    if draw(st.booleans()):
        options["bias"] = torch.randn(groups * size, generator=chance) / 8
    return steps / 4, draw(st.integers(1, min(16, open_groups * size))), options


@pytest.fixture(scope="module", params=["torch", "triton"])
def _path(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_KERNELS", request.param)
        patch.setattr(tuned, "choose", lambda *_, **__: {"block_t": 4, "num_warps": 1, "num_stages": 1})
        yield


few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


@pytest.mark.usefixtures("_path")
@given(calls())
@few
def test_renormalised_weights_sum_to_the_scale(call: Call) -> None:
    logits, top_k, options = call
    weights, _ = moe_gate(logits, top_k, **options)
    torch.testing.assert_close(weights.sum(1), torch.full((logits.shape[0],), options["scale"]), rtol=1e-5, atol=0)


@pytest.mark.usefixtures("_path")
@given(calls())
@few
def test_each_expert_is_chosen_once_and_from_few_enough_groups(call: Call) -> None:
    logits, top_k, options = call
    _, ids = moe_gate(logits, top_k, **options)
    size = logits.shape[1] // options["num_groups"]
    for row in ids.tolist():
        assert len(set(row)) == top_k
        assert 0 <= min(row) <= max(row) < logits.shape[1]
        assert len({expert // size for expert in row}) <= options["topk_groups"]


@pytest.mark.usefixtures("_path")
@given(calls(), st.integers(0, 2**31))
@few
def test_experts_that_change_places_are_chosen_all_the_same(call: Call, seed: int) -> None:
    logits, top_k, options = call
    options |= {"num_groups": 1, "topk_groups": 1}
    order = torch.randperm(logits.shape[1], generator=torch.Generator().manual_seed(seed))
    weights, ids = moe_gate(logits, top_k, **options)
    if "bias" in options:
        options["bias"] = options["bias"][order]
    moved_weights, moved = moe_gate(logits[:, order].contiguous(), top_k, **options)
    assert torch.equal(order[moved.to(torch.int64)].to(torch.int32), ids)
    torch.testing.assert_close(moved_weights, weights, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("_path")
@given(calls(scoring="softmax"), st.integers(-64, 64))
@few
def test_softmax_does_not_feel_what_is_added_to_all_logits(call: Call, shift: int) -> None:
    logits, top_k, options = call
    weights, ids = moe_gate(logits, top_k, **options)
    shifted_weights, shifted = moe_gate(logits + shift, top_k, **options)
    assert torch.equal(shifted, ids)
    torch.testing.assert_close(shifted_weights, weights, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("_path")
@given(calls())
@few
def test_a_token_does_not_feel_its_neighbours(call: Call) -> None:
    logits, top_k, options = call
    weights, ids = moe_gate(logits, top_k, **options)
    alone_weights, alone = moe_gate(logits[-1:], top_k, **options)
    assert torch.equal(alone, ids[-1:])
    torch.testing.assert_close(alone_weights, weights[-1:], rtol=1e-6, atol=0)
