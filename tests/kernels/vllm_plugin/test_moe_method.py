from collections.abc import Iterator
from typing import Any

import pytest
import torch
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.config import RoutingMethodType, get_routing_method_type
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import state
from headrace.kernels.vllm_plugin.moe_method import HeadraceMoeMethod, facts_of, gate_of
from tests.support.kernels.experts import EXPERTS, HIDDEN, TOP_K, by_hand, layer, load, moe_config
from tests.support.kernels.layers import current_config

GROUPED = {"use_grouped_topk": True, "num_expert_group": 4, "topk_group": 2}
BIAS = torch.linspace(-0.3, 0.3, EXPERTS)


@pytest.fixture(autouse=True)
def _config() -> Iterator[None]:
    state.forget()
    with current_config():
        yield
    state.forget()


def test_routing_and_experts_are_ours_and_right() -> None:
    method, module = HeadraceMoeMethod(moe_config()), layer()
    load(method, module)
    method.process_weights_after_loading(module)
    x, logits = torch.randn(5, HIDDEN), torch.randn(5, EXPERTS)
    assert method.is_monolithic
    found = method.apply_monolithic(module, x, logits)
    weights, ids = logits.softmax(-1).topk(TOP_K)
    wanted = by_hand(module, x, weights / weights.sum(-1, keepdim=True), ids)
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)
    assert state.snapshot()["served"] == {"fused_experts": 1}


def test_tokens_that_vllm_routed_are_served_too() -> None:
    method, module = HeadraceMoeMethod(moe_config(routing_method=RoutingMethodType.Custom)), layer()
    load(method, module)
    method.process_weights_after_loading(module)
    assert not method.is_monolithic
    x, weights, ids = torch.randn(3, HIDDEN), torch.rand(3, TOP_K), torch.tensor([[1, 2], [0, 7], [3, 3]])
    found = method.apply(module, x, weights, ids, None, None)
    torch.testing.assert_close(found.double(), by_hand(module, x, weights, ids), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "routing",
    [
        {},
        {"renormalize": False},
        GROUPED,
        GROUPED | {"scoring_func": "sigmoid", "routed_scaling_factor": 2.5},
        GROUPED | {"scoring_func": "sigmoid", "e_score_correction_bias": BIAS, "routed_scaling_factor": 2.5},
    ],
)
def test_the_gate_routes_as_vllms_own_router(routing: dict[str, Any]) -> None:
    module = layer(**routing)
    method_type = get_routing_method_type(
        module.scoring_func,
        TOP_K,
        module.renormalize,
        module.num_expert_group,
        module.e_score_correction_bias is not None,
    )
    gate = gate_of(module, moe_config(routing_method=method_type))
    assert gate is not None
    logits = torch.randn(64, EXPERTS, generator=torch.Generator().manual_seed(5))
    names = ("use_grouped_topk", "num_expert_group", "topk_group", "renormalize", "scoring_func")
    router = CPURouter(
        TOP_K, EXPERTS, routed_scaling_factor=module.routed_scaling_factor,
        e_score_correction_bias=module.e_score_correction_bias, **{name: getattr(module, name) for name in names},
    )  # fmt: skip
    weights, ids = router._compute_routing(logits, logits, None)
    mine, chosen = gate.route(logits)
    dense, wanted = torch.zeros(2, 64, EXPERTS)
    dense.scatter_(1, chosen.long(), mine)
    wanted.scatter_(1, ids.long(), weights)
    torch.testing.assert_close(dense, wanted)


@pytest.mark.parametrize(
    ("routing", "method_type"),
    [
        ({"custom_routing_function": print}, RoutingMethodType.Default),
        ({}, RoutingMethodType.Unspecified),
        ({}, RoutingMethodType.DeepseekV4),
        ({"routed_scaling_factor": 2.0}, RoutingMethodType.Default),
    ],
)
def test_a_way_of_routing_that_is_not_known_is_left_to_vllm(
    routing: dict[str, Any], method_type: RoutingMethodType
) -> None:
    assert gate_of(layer(**routing), moe_config(routing_method=method_type)) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"parallel": {"use_ep": True, "ep_size": 2}}, "expert-parallel"),
        ({"parallel": {"enable_eplb": True}}, "expert-balancing"),
        ({"parallel": {"dp_size": 2}}, "data-parallel"),
        ({"parallel": {"sp_size": 2}}, "sequence-parallel"),
        ({"has_bias": True}, "expert-bias"),
        ({"activation": MoEActivation.GELU}, "activation"),
    ],
)
def test_what_is_not_eligible_is_vllms_own_method_and_counted(changed: dict[str, Any], reason: str) -> None:
    method = HeadraceMoeMethod(moe_config(**changed))
    assert method.refusal == reason
    assert dispatch.refusals()["fused_experts", reason] == 1


def test_a_refused_layer_answers_as_vllm_does() -> None:
    method, module = HeadraceMoeMethod(moe_config(activation=MoEActivation.GELU)), layer()
    for name, value in {
        "activation": MoEActivation.GELU, "global_num_experts": EXPERTS, "expert_map": None, "moe_config": method.moe,
        "_expert_routing_tables": lambda: None,
    }.items():  # fmt: skip
        object.__setattr__(module, name, value)
    load(method, module)
    method.process_weights_after_loading(module)
    assert not method.is_monolithic
    x, weights, ids = torch.randn(3, HIDDEN), torch.rand(3, TOP_K), torch.tensor([[1, 2], [0, 7], [3, 4]])
    found = method.apply(module, x, weights, ids.to(torch.int32), None, None)
    assert found.shape == x.shape
    assert bool(found.isfinite().all())
    assert state.snapshot()["served"] == {}


def test_weights_on_the_input_are_seen_when_the_layer_is_known() -> None:
    method, module = HeadraceMoeMethod(moe_config()), layer(apply_router_weight_on_input=True)
    load(method, module)
    assert method.refusal == "weight-on-input"
    assert method.gate is None


def test_the_facts_are_those_of_the_config() -> None:
    facts = facts_of(moe_config(swiglu_limit=7.0))
    assert (facts.num_experts, facts.top_k, facts.has_clamp, facts.parallel) == (EXPERTS, TOP_K, True, ())
