from dataclasses import replace
from typing import Any

import pytest

from headrace.kernels.expert_routing.gate import MAX_EXPERTS, MAX_TOP_K
from headrace.kernels.sparse_attention.decode import MOST_GROUP as DECODES_GROUP
from headrace.kernels.sparse_attention.prefill import HEAD_DIMS
from headrace.kernels.vllm_plugin.eligibility import (
    HEAD_SIZES,
    MOST_CHOSEN,
    MOST_EXPERTS,
    MOST_GROUP,
    ExpertFacts,
    LayerFacts,
    PartFacts,
    group_for,
    refuse_decode,
    refuse_experts,
    refuse_layer,
    refuse_prefill,
)
from headrace.kernels.vllm_plugin.options import SparseOptions

OPTIONS = SparseOptions()
LAYER = LayerFacts(index=5, num_heads=32, num_kv_heads=8, head_size=128)
LONG = PartFacts(most_queries=512, most_tokens=20_000)
EXPERTS = ExpertFacts(num_experts=128, top_k=8)


def test_a_plain_layer_part_and_mixture_are_ours() -> None:
    assert refuse_layer(LAYER, OPTIONS) is None
    assert refuse_prefill(LONG, OPTIONS) is None
    assert refuse_decode(replace(LONG, most_queries=1), OPTIONS) is None
    assert refuse_experts(EXPERTS) is None


def test_dense_layers_are_the_first_ones_or_those_that_are_listed() -> None:
    listed = replace(OPTIONS, dense_layers=(0, 3))
    layers = [replace(LAYER, index=index) for index in range(5)]
    assert [refuse_layer(layer, listed) for layer in layers] == ["dense-layer", None, None, "dense-layer", None]
    none = replace(OPTIONS, dense_layers=())
    assert [refuse_layer(layer, none) for layer in layers] == [None] * 5


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"index": 1}, "dense-layer"),
        ({"attn_type": "encoder"}, "attention-type"),
        ({"head_size": 72}, "head-dim"),
        ({"num_heads": 33}, "head-groups"),
        ({"num_heads": 520}, "head-groups"),
        ({"cache_dtype": "fp8"}, "kv-cache-dtype"),
        ({"has_alibi": True}, "alibi"),
        ({"has_sinks": True}, "learned-sinks"),
        ({"sliding_window": 4096}, "sliding-window"),
        ({"shares_cache": True}, "shared-kv-cache"),
        ({"has_connector": True}, "kv-connector"),
        ({"context_ranks": 2}, "context-parallel"),
        ({"page": 48}, "page-size"),
        ({"page": 16}, "page-size"),
        ({"is_half": False, "on_gpu": True}, "dtype"),
    ],
)
def test_what_a_layer_must_not_be_has_a_word(fact: dict[str, Any], reason: str) -> None:
    assert refuse_layer(replace(LAYER, **fact), OPTIONS) == reason


def test_short_pages_are_enough_for_means() -> None:
    assert refuse_layer(replace(LAYER, page=16), replace(OPTIONS, method="mean")) is None


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"most_queries": 63}, "short-query"),
        ({"most_tokens": 8191}, "short-context"),
        ({"is_causal": False}, "non-causal"),
        ({"is_exotic": True}, "exotic-batch"),
    ],
)
def test_what_a_prompt_part_must_not_be_has_a_word(fact: dict[str, Any], reason: str) -> None:
    assert refuse_prefill(replace(LONG, **fact), OPTIONS) == reason
    assert refuse_decode(replace(LONG, **fact), OPTIONS) == (None if reason == "short-query" else reason)


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"parallel": ("expert-parallel", "data-parallel")}, "expert-parallel"),
        ({"has_lora": True}, "lora"),
        ({"has_bias": True}, "expert-bias"),
        ({"activation": "gelu"}, "activation"),
        ({"is_gated": False}, "activation"),
        ({"has_clamp": True}, "clamped-activation"),
        ({"has_fused_shared": True}, "fused-shared-experts"),
        ({"has_weight_on_input": True}, "weight-on-input"),
        ({"num_experts": 513}, "experts"),
        ({"top_k": 17}, "top-k"),
    ],
)
def test_what_experts_must_not_be_has_a_word(fact: dict[str, Any], reason: str) -> None:
    assert refuse_experts(replace(EXPERTS, **fact)) == reason


def test_the_bounds_are_those_of_the_kernels() -> None:
    assert (HEAD_SIZES, MOST_GROUP) == (HEAD_DIMS, DECODES_GROUP)
    assert (MOST_EXPERTS, MOST_CHOSEN) == (MAX_EXPERTS, MAX_TOP_K)


def test_a_group_divides_both_products() -> None:
    assert group_for(128, 2048, 768) == 128
    assert group_for(256, 128, 64) == 64
    assert group_for(128, 2880, 2880) == 64
    assert group_for(128, 100) is None
