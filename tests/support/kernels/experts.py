"""One layer of experts as vLLM describes it to a method, made by hand: no engine, no model."""

from dataclasses import replace
from typing import Any, Final

import torch
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.config import FusedMoEConfig, FusedMoEParallelConfig, RoutingMethodType

EXPERTS: Final = 8
TOP_K: Final = 2
HIDDEN: Final = 64
INNER: Final = 32
ALONE: Final = FusedMoEParallelConfig(
    tp_size=1, pcp_size=1, dp_size=1, ep_size=1, tp_rank=0, pcp_rank=0, dp_rank=0, ep_rank=0, sp_size=1,
    use_ep=False, all2all_backend="naive", enable_eplb=False,
)  # fmt: skip


def moe_config(**changed: Any) -> FusedMoEConfig:
    """Return the config of a plain layer, with what is changed; `parallel` changes how it is spread."""
    spread = replace(ALONE, **changed.pop("parallel", {}))
    return FusedMoEConfig(**(_PLAIN | {"moe_parallel_config": spread} | changed))


def layer(**changed: Any) -> torch.nn.Module:
    """Return what a method reads of vLLM's RoutedExperts; its weights are made by the method."""
    module = torch.nn.Module()
    for name, value in (_ROUTING | changed).items():
        setattr(module, name, value)
    return module


def load(method: Any, module: Any, seed: int = 0) -> None:
    """Let the method create the weights of the layer, and fill them as a checkpoint would."""
    method.create_weights(module, EXPERTS, HIDDEN, INNER, torch.float32)
    torch.manual_seed(seed)
    for weight in (module.w13_weight, module.w2_weight):
        weight.data.normal_(0.0, weight.shape[-1] ** -0.5)


def by_hand(module: Any, x: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the answer of unquantized experts in float64, one token and one expert at a time."""
    out = torch.zeros(len(x), x.shape[1], dtype=torch.float64)
    for token in range(len(x)):
        for weight, expert in zip(weights[token].double(), ids[token].tolist(), strict=True):
            gate, up = (module.w13_weight[expert].double() @ x[token].double()).chunk(2)
            out[token] += weight * (module.w2_weight[expert].double() @ (torch.nn.functional.silu(gate) * up))
    return out


_PLAIN: Final[dict[str, Any]] = {
    "num_experts": EXPERTS,
    "experts_per_token": TOP_K,
    "hidden_dim": HIDDEN,
    "intermediate_size": INNER,
    "num_local_experts": EXPERTS,
    "num_logical_experts": EXPERTS,
    "activation": MoEActivation.SILU,
    "device": "cpu",
    "routing_method": RoutingMethodType.RenormalizeNaive,
    "in_dtype": torch.float32,
}
_ROUTING: Final[dict[str, Any]] = {
    "top_k": TOP_K,
    "renormalize": True,
    "use_grouped_topk": False,
    "num_expert_group": None,
    "topk_group": None,
    "custom_routing_function": None,
    "scoring_func": "softmax",
    "routed_scaling_factor": 1.0,
    "e_score_correction_bias": None,
    "apply_router_weight_on_input": False,
}
