"""Experts of a vLLM model served by our kernels: routing, alignment and both products, in the place of vLLM's method.

A layer that is not eligible (eligibility.py) is served by vLLM's own method, which this one extends, and its refusal is
counted. Where the model's way of routing is one that `moe_gate` knows, vLLM hands over router logits (its `monolithic`
form); elsewhere it routes itself and hands over weights and ids.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from vllm.config import get_current_vllm_config_or_none
from vllm.model_executor.layers.fused_moe.config import (
    FusedMoEConfig,
    FusedMoEParallelConfig,
    FusedMoEQuantConfig,
    RoutingMethodType,
)
from vllm.model_executor.layers.fused_moe.fused_moe_method_base import FusedMoEMethodBase
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import UnquantizedFusedMoEMethod

from headrace.kernels.expert_routing.fused import fused_experts
from headrace.kernels.expert_routing.gate import moe_gate
from headrace.kernels.quant_layout import ExpertQuant
from headrace.kernels.vllm_plugin import state
from headrace.kernels.vllm_plugin.eligibility import ExpertFacts, refuse_experts

__all__ = ["Gate", "HeadraceMoeMethod", "UnquantizedFusedMoEMethod", "facts_of", "gate_of", "serve", "serve_routed"]

OP: Final = "fused_experts"
# Ways of routing that `moe_gate` computes as vLLM's own routers do.
GATED: Final = frozenset(
    {
        RoutingMethodType.Default,
        RoutingMethodType.Renormalize,
        RoutingMethodType.RenormalizeNaive,
        RoutingMethodType.DeepSeekV3,
        RoutingMethodType.Sigmoid,
        RoutingMethodType.SigmoidRenorm,
        RoutingMethodType.MiniMax2,
    }
)


@dataclass(frozen=True, slots=True)
class Gate:
    """The arguments of `moe_gate` for one layer."""

    top_k: int
    scoring: Any
    bias: torch.Tensor | None
    num_groups: int
    topk_groups: int
    renormalize: bool
    scale: float

    def route(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights and ids of the chosen experts."""
        return moe_gate(
            logits,
            self.top_k,
            scoring=self.scoring,
            bias=self.bias,
            num_groups=self.num_groups,
            topk_groups=self.topk_groups,
            renormalize=self.renormalize,
            scale=self.scale,
        )


class HeadraceMoeMethod(UnquantizedFusedMoEMethod):  # type: ignore[misc]
    """vLLM's method for unquantized experts, with our kernels where a layer is eligible. One object a layer."""

    def __init__(self, moe: FusedMoEConfig) -> None:
        super().__init__(moe)
        self.refusal = refuse_experts(facts_of(moe))
        self.gate: Gate | None = None
        if self.refusal is not None:
            state.refuse(OP, self.refusal)

    @property
    def is_monolithic(self) -> bool:
        """True where routing is ours too."""
        return self.gate is not None if self.refusal is None else bool(super().is_monolithic)

    def maybe_roundup_sizes(
        self, hidden_size: int, intermediate_size: int, dtype: torch.dtype, parallel: FusedMoEParallelConfig
    ) -> tuple[int, int]:
        """Ask for no padding where the layer is ours: the kernels mask."""
        if self.refusal is not None:
            return super().maybe_roundup_sizes(hidden_size, intermediate_size, dtype, parallel)  # type: ignore[no-any-return]
        sizes = FusedMoEMethodBase.maybe_roundup_sizes(self, hidden_size, intermediate_size, dtype, parallel)
        return sizes[0], sizes[1]

    def create_weights(self, layer: Any, *args: Any, **kwargs: Any) -> None:
        """Create the weights as vLLM does, and note how this layer routes."""
        super().create_weights(layer, *args, **kwargs)
        if self.refusal is None and layer.apply_router_weight_on_input:
            self.refusal = "weight-on-input"
            state.refuse(OP, self.refusal)
        if self.refusal is None:
            self.gate = gate_of(layer, self.moe)

    def process_weights_after_loading(self, layer: Any) -> None:
        """Leave the weights as they were loaded: [E, 2I, H], gate half first, and [E, H, I]."""
        if self.refusal is not None:
            super().process_weights_after_loading(layer)

    def get_fused_moe_quant_config(self, layer: torch.nn.Module) -> FusedMoEQuantConfig:
        """Return vLLM's description of unquantized experts."""
        return super().get_fused_moe_quant_config(layer)

    def apply(
        self, layer: Any, x: torch.Tensor, topk_weights: torch.Tensor, topk_ids: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Return the experts' answer for routed tokens."""
        if self.refusal is not None:
            return super().apply(layer, x, topk_weights, topk_ids, *args, **kwargs)
        return serve_routed(layer, x, topk_weights, topk_ids)

    def apply_monolithic(
        self, layer: Any, x: torch.Tensor, router_logits: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Return the experts' answer, routing included."""
        if self.refusal is not None or self.gate is None:
            return super().apply_monolithic(layer, x, router_logits, *args, **kwargs)
        return serve(self.gate, layer, x, router_logits)


def serve(
    gate: Gate, layer: Any, x: torch.Tensor, logits: torch.Tensor, quant: ExpertQuant | None = None
) -> torch.Tensor:
    """Route and compute the experts of `layer` for tokens `x` [T, H]."""
    weights, ids = gate.route(logits)
    return serve_routed(layer, x, weights, ids, quant)


def serve_routed(
    layer: Any, x: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor, quant: ExpertQuant | None = None
) -> torch.Tensor:
    """Compute the experts of `layer` for tokens `x` [T, H] that are routed already."""
    state.serve(OP)
    ids, weights = ids.to(torch.int32), weights.to(torch.float32)
    return fused_experts(x.contiguous(), layer.w13_weight, layer.w2_weight, weights, ids, quant=quant)


def facts_of(moe: FusedMoEConfig) -> ExpertFacts:
    """Return what eligibility asks about a layer of experts."""
    spread = moe.moe_parallel_config
    spreads = {
        "expert-parallel": spread.use_ep,
        "expert-balancing": spread.enable_eplb,
        "data-parallel": spread.dp_size > 1,
        "sequence-parallel": spread.is_sequence_parallel,
        "context-parallel": spread.pcp_size > 1,
    }
    return ExpertFacts(
        num_experts=moe.num_experts,
        top_k=moe.experts_per_token,
        activation=moe.activation.value,
        is_gated=moe.is_act_and_mul,
        has_bias=moe.has_bias,
        parallel=tuple(reason for reason, holds in spreads.items() if holds),
        has_lora=moe.is_lora_enabled,
        has_clamp=any(each is not None for each in (moe.swiglu_limit, moe.swiglu_alpha, moe.swiglu_beta)),
        has_fused_shared=moe.aiter_fmoe_shared_expert_enabled,
    )


def gate_of(layer: Any, moe: FusedMoEConfig) -> Gate | None:
    """Return how `moe_gate` routes for this layer, None where vLLM's own router must."""
    config = get_current_vllm_config_or_none()
    tells_routing = config is not None and bool(getattr(config.model_config, "enable_return_routed_experts", False))
    if moe.routing_method not in GATED or layer.custom_routing_function is not None or tells_routing:
        return None
    is_grouped = bool(layer.use_grouped_topk) and bool(layer.num_expert_group)
    scales = is_grouped or layer.e_score_correction_bias is not None
    if not scales and layer.routed_scaling_factor != 1.0:
        return None
    return Gate(
        top_k=moe.experts_per_token,
        scoring=layer.scoring_func,
        bias=layer.e_score_correction_bias,
        num_groups=layer.num_expert_group if is_grouped else 1,
        topk_groups=layer.topk_group if is_grouped else 1,
        renormalize=layer.renormalize,
        scale=layer.routed_scaling_factor,
    )
