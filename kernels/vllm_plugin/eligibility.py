"""What may be ours: pure functions over plain facts, each returning None or a short lasting word for why not.

A wrong yes is a wrong answer, so whatever is not known to work is refused, and vLLM's own code serves it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.kernels.vllm_plugin.options import GROUPS, SparseOptions

BLOCK: Final = 64
HEAD_SIZES: Final = (64, 80, 96, 128)
MOST_GROUP: Final = 64
# Statistics of shorter pages would be more than a sixteenth of the keys.
LEAST_PAGE: Final = {"mean": 16, "minmax": 32}
UNQUANTIZED_CACHES: Final = ("auto", "float16", "bfloat16")
MOST_EXPERTS: Final = 512
MOST_CHOSEN: Final = 16
ACTIVATION: Final = "silu"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One attention layer as vLLM describes it. page: tokens in a block of its cache. is_half: 16 bits a value."""

    index: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    cache_dtype: str = "auto"
    attn_type: str = "decoder"
    has_alibi: bool = False
    has_sinks: bool = False
    sliding_window: int | None = None
    shares_cache: bool = False
    has_connector: bool = False
    context_ranks: int = 1
    page: int = 64
    is_half: bool = True
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One part of a batch: its decodes or its prompt parts. most_tokens: an upper bound on a sequence's length.

    is_exotic: prefix ranges of images, encoders, context parallelism or a reference window are at work.
    """

    most_queries: int
    most_tokens: int
    is_causal: bool = True
    is_exotic: bool = False


@dataclass(frozen=True, slots=True)
class ExpertFacts:
    """One layer of experts as vLLM describes it. parallel: every way of spreading it but plain tensor parallelism."""

    num_experts: int
    top_k: int
    activation: str = ACTIVATION
    is_gated: bool = True
    has_bias: bool = False
    parallel: Sequence[str] = ()
    has_lora: bool = False
    has_clamp: bool = False
    has_fused_shared: bool = False
    has_weight_on_input: bool = False


def refuse_layer(layer: LayerFacts, options: SparseOptions) -> str | None:
    """Tell why a layer's attention is not ours at all, None where it may be."""
    return _first(
        {
            "dense-layer": options.is_dense(layer.index),
            "attention-type": layer.attn_type != "decoder",
            "head-dim": layer.head_size not in HEAD_SIZES,
            "head-groups": bool(layer.num_heads % layer.num_kv_heads)
            or layer.num_heads > MOST_GROUP * layer.num_kv_heads,
            "kv-cache-dtype": layer.cache_dtype not in UNQUANTIZED_CACHES,
            "alibi": layer.has_alibi,
            "learned-sinks": layer.has_sinks,
            "sliding-window": layer.sliding_window is not None,
            "shared-kv-cache": layer.shares_cache,
            "kv-connector": layer.has_connector,
            "context-parallel": layer.context_ranks > 1,
            "page-size": BLOCK % layer.page != 0 or layer.page < LEAST_PAGE[options.method],
            "dtype": layer.on_gpu and not layer.is_half,
        }
    )


def refuse_prefill(part: PartFacts, options: SparseOptions) -> str | None:
    """Tell why the prompt parts of a batch stay with vLLM's attention, None where they are ours."""
    return _first({"short-query": part.most_queries < options.min_query}) or refuse_decode(part, options)


def refuse_decode(part: PartFacts, options: SparseOptions) -> str | None:
    """Tell why the decodes of a batch stay with vLLM's attention, None where they are ours."""
    return _first(
        {
            "short-context": part.most_tokens < options.min_tokens,
            "non-causal": not part.is_causal,
            "exotic-batch": part.is_exotic,
        }
    )


def refuse_experts(experts: ExpertFacts) -> str | None:
    """Tell why a layer's experts stay with vLLM, None where they are ours."""
    return next(iter(experts.parallel), None) or _first(
        {
            "lora": experts.has_lora,
            "expert-bias": experts.has_bias,
            "activation": not experts.is_gated or experts.activation != ACTIVATION,
            "clamped-activation": experts.has_clamp,
            "fused-shared-experts": experts.has_fused_shared,
            "weight-on-input": experts.has_weight_on_input,
            "experts": experts.num_experts > MOST_EXPERTS,
            "top-k": experts.top_k > MOST_CHOSEN,
        }
    )


def group_for(wanted: int, *columns: int) -> int | None:
    """Return the largest group that is at most `wanted` and divides every number of columns, None for none."""
    fitting = (group for group in GROUPS if group <= wanted and not any(each % group for each in columns))
    return max(fitting, default=None)


def _first(reasons: Mapping[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)
