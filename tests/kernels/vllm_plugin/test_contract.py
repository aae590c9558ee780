"""Every name of vLLM that the plug-in touches, so that an upgrade fails here and says which one went."""

import dataclasses
import importlib
import inspect
import json
from typing import Any

import pytest
import vllm
from vllm.config import AttentionConfig
from vllm.v1.attention.backend import CommonAttentionMetadata
from vllm.v1.attention.backends.registry import AttentionBackendEnum
from vllm.v1.attention.selector import get_attn_spec_kind

from headrace.kernels.vllm_plugin import plan
from headrace.kernels.vllm_plugin.versions import check_version
from headrace.models.backends.kernels import FULL_ATTENTION

NAMES = {
    "vllm.config": ("get_current_vllm_config_or_none",),
    "vllm.plugins": ("load_general_plugins", "DEFAULT_PLUGINS_GROUP"),
    "vllm.platforms": ("current_platform",),
    "vllm._custom_ops": ("cpu_attn_reshape_and_cache",),
    "vllm.model_executor.custom_op": ("CustomOp", "op_registry_oot"),
    "vllm.model_executor.utils": ("replace_parameter",),
    "vllm.model_executor.layers.linear": ("LinearBase", "UnquantizedLinearMethod"),
    "vllm.model_executor.layers.quantization": ("register_quantization_config", "get_quantization_config"),
    "vllm.model_executor.layers.quantization.base_config": ("QuantizationConfig", "QuantizeMethodBase"),
    "vllm.model_executor.layers.fused_moe.config": (
        "FusedMoEConfig", "FusedMoEParallelConfig", "FusedMoEQuantConfig", "RoutingMethodType",
    ),
    "vllm.model_executor.layers.fused_moe.fused_moe_method_base": ("FusedMoEMethodBase",),
    "vllm.model_executor.layers.fused_moe.routed_experts": ("RoutedExperts",),
    "vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method": ("UnquantizedFusedMoEMethod",),
    "vllm.v1.attention.backend": ("AttentionCGSupport", "CommonAttentionMetadata"),
    "vllm.v1.attention.backends.registry": ("AttentionBackendEnum", "register_backend"),
    "vllm.v1.attention.backends.triton_attn": (
        "TritonAttentionBackend", "TritonAttentionImpl", "TritonAttentionMetadataBuilder",
    ),
    "vllm.v1.attention.backends.cpu_attn": (
        "CPUAttentionBackend", "CPUAttentionBackendImpl", "CPUAttentionMetadataBuilder",
    ),
}  # fmt: skip
FORWARD = [
    "self", "layer", "query", "key", "value", "kv_cache", "attn_metadata", "output", "output_scale",
    "output_block_scale",
]  # fmt: skip
WRITE = ["self", "layer", "key", "value", "kv_cache", "slot_mapping"]
BUILD = ["self", "common_prefix_len", "common_attn_metadata", "fast_build"]
SIGNATURES = {
    "triton_attn:TritonAttentionImpl.forward": FORWARD,
    "cpu_attn:CPUAttentionBackendImpl.forward": FORWARD,
    "triton_attn:TritonAttentionImpl.do_kv_cache_update": WRITE,
    "cpu_attn:CPUAttentionBackendImpl.do_kv_cache_update": WRITE,
    "triton_attn:TritonAttentionMetadataBuilder.build": BUILD,
    "cpu_attn:CPUAttentionMetadataBuilder.build": BUILD,
    "triton_attn:TritonAttentionMetadataBuilder.build_for_cudagraph_capture": ["self", "common_attn_metadata"],
}
METHOD = "vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method:UnquantizedFusedMoEMethod"
METHODS = {
    "apply": ["self", "layer", "x", "topk_weights", "topk_ids", "shared_experts", "shared_experts_input"],
    "apply_monolithic": ["self", "layer", "x", "router_logits", "input_ids"],
    "process_weights_after_loading": ["self", "layer"],
    "maybe_roundup_sizes": [
        "self", "hidden_size", "intermediate_size_per_partition", "act_dtype", "moe_parallel_config",
    ],
}  # fmt: skip
CONFIG = (
    "num_experts", "experts_per_token", "hidden_dim", "intermediate_size_per_partition", "activation", "routing_method",
    "moe_parallel_config", "has_bias", "is_lora_enabled", "swiglu_limit", "swiglu_alpha", "swiglu_beta",
    "aiter_fmoe_shared_expert_enabled",
)  # fmt: skip
LAYER = (
    "use_grouped_topk", "num_expert_group", "topk_group", "custom_routing_function", "scoring_func", "renormalize",
    "routed_scaling_factor", "e_score_correction_bias", "apply_router_weight_on_input",
)  # fmt: skip
IMPL = (
    "num_heads", "num_kv_heads", "head_size", "scale", "logits_soft_cap", "sliding_window", "kv_cache_dtype",
    "attn_type", "alibi_slopes", "sinks", "kv_sharing_target_layer_name",
)  # fmt: skip


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def method(path: str) -> Any:
    module, _, name = path.partition(":")
    owner, _, attribute = name.partition(".")
    prefix = "" if module.startswith("vllm.") else "vllm.v1.attention.backends."
    return getattr(getattr(importlib.import_module(prefix + module), owner), attribute)


def test_this_is_the_vllm_that_the_plug_in_was_written_for() -> None:
    check_version(vllm.__version__)


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_where_it_was(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("path", SIGNATURES)
def test_what_is_overridden_is_called_as_it_was(path: str) -> None:
    assert parameters(method(path)) == SIGNATURES[path]


@pytest.mark.parametrize("name", METHODS)
def test_the_method_of_experts_is_called_as_it_was(name: str) -> None:
    assert parameters(method(f"{METHOD}.{name}")) == METHODS[name]


def test_metadata_have_the_fields_that_a_plan_reads() -> None:
    read = {
        *plan.EXOTIC, *plan.BY_ROW, *plan.BY_TOKEN, "query_start_loc", "query_start_loc_cpu", "num_reqs",
        "num_actual_tokens", "max_query_len", "max_seq_len", "causal", "_num_computed_tokens_cache",
        "_token_to_req_indices_cache",
    }  # fmt: skip
    assert read <= {field.name for field in dataclasses.fields(CommonAttentionMetadata)}


def test_layers_of_experts_and_of_attention_say_what_eligibility_asks() -> None:
    config = importlib.import_module("vllm.model_executor.layers.fused_moe.config")
    assert [name for name in CONFIG if name not in config.FusedMoEConfig.__annotations__] == []
    spread = ("use_ep", "enable_eplb", "dp_size", "pcp_size", "is_sequence_parallel")
    known = dir(config.FusedMoEParallelConfig) + list(config.FusedMoEParallelConfig.__annotations__)
    assert [name for name in spread if name not in known] == []
    experts = importlib.import_module("vllm.model_executor.layers.fused_moe.routed_experts").RoutedExperts
    assert [name for name in LAYER if name not in parameters(experts.__init__)] == []
    for path in ("triton_attn:TritonAttentionImpl.__init__", "cpu_attn:CPUAttentionBackendImpl.__init__"):
        source = inspect.getsource(method(path))
        assert [name for name in IMPL if f"self.{name}" not in source] == [], path


def test_the_gateways_choice_of_backend_is_one_that_vllm_reads() -> None:
    found = AttentionConfig(**json.loads(FULL_ATTENTION))
    assert found.backend_per_kind == {"full_attention": AttentionBackendEnum.CUSTOM}
    assert found.backend is None
    kinds = [get_attn_spec_kind(mla, window, "decoder").value for mla in (False, True) for window in (False, True)]
    assert kinds == ["full_attention", "sliding_window", "mla_attention", "sliding_window_mla"]


def test_the_cuda_platform_and_its_graphs_know_our_backend_by_these_words() -> None:
    registry = importlib.import_module("vllm.v1.attention.backends.registry")
    assert registry.AttentionBackendEnum.CUSTOM.value is None
    assert registry.AttentionBackendEnum["CPU_ATTN"].value.endswith("cpu_attn.CPUAttentionBackend")
    support = importlib.import_module("vllm.v1.attention.backend").AttentionCGSupport
    assert support.UNIFORM_SINGLE_TOKEN_DECODE.value < support.ALWAYS.value
