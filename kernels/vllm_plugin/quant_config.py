"""`--quantization headrace_int8` and `headrace_int4`: experts are rounded as they are loaded and served by our kernels.

Only the experts: every other layer stays as the checkpoint has it. Symmetric, one scale for each group of input
channels: the group of `HEADRACE_MOE_OPTIONS`, or the largest smaller one that divides both products of the experts.
The whole checkpoint must fit in memory once, unquantized, while it is loaded.
"""

import os
from typing import Any, ClassVar, Final, Literal

import torch
from vllm.model_executor.layers.fused_moe.config import FusedMoEConfig
from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization import register_quantization_config
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.model_executor.utils import replace_parameter

from headrace.kernels.quant_layout import ExpertQuant, round_groups
from headrace.kernels.vllm_plugin import state
from headrace.kernels.vllm_plugin.eligibility import group_for
from headrace.kernels.vllm_plugin.moe_method import HeadraceMoeMethod, serve, serve_routed
from headrace.kernels.vllm_plugin.options import MoeOptions, read_moe

OP: Final = "quantized_experts"
LEAST_CAPABILITY: Final = 80

Bits = Literal[8, 4]


class QuantizedMoeMethod(HeadraceMoeMethod):
    """Experts of one layer, rounded once they are loaded. A layer that is not eligible stays as it was loaded."""

    def __init__(self, moe: FusedMoEConfig, bits: Bits, group: int) -> None:
        super().__init__(moe)
        self.bits: Bits = bits
        self.group = group_for(group, moe.hidden_dim, moe.intermediate_size_per_partition)
        self.quant: ExpertQuant | None = None
        if self.refusal is None and self.group is None:
            state.refuse(OP, "group-size")

    def process_weights_after_loading(self, layer: Any) -> None:
        """Round what was loaded, and give its memory back."""
        super().process_weights_after_loading(layer)
        if self.refusal is not None or self.group is None:
            return
        scales = []
        for name in ("w13_weight", "w2_weight"):
            rounded, scale = round_experts(getattr(layer, name).data, self.bits, self.group)
            replace_parameter(layer, name, rounded)
            scales.append(scale)
        self.quant = ExpertQuant(w13_scale=scales[0], w2_scale=scales[1])

    def apply(
        self, layer: Any, x: torch.Tensor, topk_weights: torch.Tensor, topk_ids: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Return the experts' answer for routed tokens."""
        if self.quant is None:
            return super().apply(layer, x, topk_weights, topk_ids, *args, **kwargs)
        return serve_routed(layer, x, topk_weights, topk_ids, self.quant)

    def apply_monolithic(
        self, layer: Any, x: torch.Tensor, router_logits: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Return the experts' answer, routing included."""
        if self.quant is None or self.gate is None:
            return super().apply_monolithic(layer, x, router_logits, *args, **kwargs)
        return serve(self.gate, layer, x, router_logits, self.quant)


class HeadraceInt8Config(QuantizationConfig):  # type: ignore[misc]
    """`headrace_int8`: one signed byte a weight."""

    bits: ClassVar[Bits] = 8
    name: ClassVar[str] = "headrace_int8"

    def get_name(self) -> str:
        """Return the word of the command line."""
        return self.name

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """Return the types that activations may have."""
        return [torch.bfloat16, torch.float16, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        """Return the least CUDA capability, times ten."""
        return LEAST_CAPABILITY

    @staticmethod
    def get_config_filenames() -> list[str]:
        """Return no file: nothing is read from the checkpoint."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """Return the config; a checkpoint that is quantized already cannot be rounded again."""
        raise ValueError(f"{cls.name} rounds an unquantized checkpoint, and this one says {config.get('quant_method')}")

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """Return the method of a layer: ours for experts, vLLM's unquantized one elsewhere."""
        del prefix
        if isinstance(layer, RoutedExperts):
            return QuantizedMoeMethod(layer.moe_config, self.bits, (read_moe(os.environ) or MoeOptions()).group)
        return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None


class HeadraceInt4Config(HeadraceInt8Config):
    """`headrace_int4`: half a byte a weight."""

    bits: ClassVar[Bits] = 4
    name: ClassVar[str] = "headrace_int4"


def round_experts(weight: torch.Tensor, bits: Bits, group: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and scales of `weight` [E, N, K], rounded one expert at a time, so that the scratch is bounded."""
    rounded = [round_groups(expert, bits=bits, group=group)[:2] for expert in weight]
    values, scales = (torch.stack(each) for each in zip(*rounded, strict=True))
    return values, scales


def register_all() -> str:
    """Register both names with vLLM; a second time changes nothing."""
    for config in (HeadraceInt8Config, HeadraceInt4Config):
        register_quantization_config(config.name)(config)
    return f"{HeadraceInt8Config.name}, {HeadraceInt4Config.name}"
