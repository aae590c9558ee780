"""What both sparse backends share: page statistics on each write, and the forward pass of our part of a batch.

Mixed in before vLLM's own classes, whose methods serve everything that is not ours. A backend says how its cache is
read, where it is not plain (`_open`, `_update`); the rest is the same on a GPU and on a CPU.
"""

import os
from functools import cache
from typing import Any, Final, NamedTuple

import torch

from headrace.kernels.sparse_attention.decode import sparse_decode
from headrace.kernels.sparse_attention.page_stats import update_page_stats
from headrace.kernels.sparse_attention.prefill import sparse_prefill
from headrace.kernels.sparse_attention.select import select_blocks, select_pages
from headrace.kernels.vllm_plugin import state
from headrace.kernels.vllm_plugin.eligibility import BLOCK, LayerFacts, refuse_layer
from headrace.kernels.vllm_plugin.options import SparseOptions, read_attention
from headrace.kernels.vllm_plugin.plan import DECODE, PREFILL, Part, Plan, cut, plan_batch

PLAN: Final = "headrace_plan"
LAYER_OP: Final = "sparse_attention"


class Pages(NamedTuple):
    """A cache as the kernels read it: k and v [P, page, Hkv, D], and the ids that name their pages."""

    k: torch.Tensor
    v: torch.Tensor
    ids: torch.Tensor


class PlansBatches:
    """For a metadata builder of vLLM: what it builds carries the plan of the batch."""

    vllm_config: Any
    _longest: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A drafter's graph would go on with the plan of the batch it was captured with.
        self.supports_draft_decode_metadata_update = False

    def build(self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False) -> Any:
        """Build vLLM's metadata, and the plan beside it."""
        build = super().build  # type: ignore[misc]
        metadata = build(common_prefix_len, common_attn_metadata, fast_build)
        plan = plan_batch(common_attn_metadata, options_now(), longest=self._longest)
        if plan.left is not None:
            theirs = build(common_prefix_len, cut(common_attn_metadata, plan.left), fast_build)
            plan = Plan(plan.decodes, plan.prefills, theirs)
        setattr(metadata, PLAN, plan)
        return metadata

    def build_for_cudagraph_capture(self, common_attn_metadata: Any) -> Any:
        """Plan for the longest sequence there can be: the graph serves later batches as it was captured."""
        self._longest = int(self.vllm_config.model_config.max_model_len)
        try:
            return super().build_for_cudagraph_capture(common_attn_metadata)  # type: ignore[misc]
        finally:
            self._longest = None


class ServesSparse:
    """For an attention implementation of vLLM: our part of each batch is ours. One object a layer."""

    num_heads: int
    num_kv_heads: int
    head_size: int
    scale: float
    logits_soft_cap: float
    _stats: torch.Tensor | None = None
    _stats_of: tuple[int, int] = (0, 0)
    _refusal: str | None = None
    _is_known = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._has_connector = _has_connector()

    def do_kv_cache_update(
        self, layer: Any, key: torch.Tensor, value: torch.Tensor, kv_cache: torch.Tensor, slot_mapping: torch.Tensor
    ) -> None:
        """Write the cache as vLLM does, and the statistics of the pages written."""
        super().do_kv_cache_update(layer, key, value, kv_cache, slot_mapping)  # type: ignore[misc]
        if self._refuse(layer, kv_cache) is None:
            self._note(kv_cache, slot_mapping)

    def forward(
        self,
        layer: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        kv_cache: torch.Tensor,
        attn_metadata: Any,
        output: torch.Tensor,
        output_scale: torch.Tensor | None = None,
        output_block_scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Write the attention of every token to `output` [T, H, D] and return it."""
        theirs = super().forward  # type: ignore[misc]
        plan: Plan | None = getattr(attn_metadata, PLAN, None)
        ours = plan is not None and plan.is_ours and output_scale is None and output_block_scale is None
        if not ours or plan is None or self._refuse(layer, kv_cache) is not None or not self._has_stats(kv_cache):
            theirs(layer, query, key, value, kv_cache, attn_metadata, output, output_scale, output_block_scale)
            return output
        shown = output.view(-1, self.num_heads, self.head_size)
        if plan.prefills.is_ours:
            self._prefill(plan.prefills, query, kv_cache, attn_metadata, shown)
        if plan.decodes.is_ours:
            self._decode(plan.decodes, query, kv_cache, attn_metadata, shown)
        if plan.left is not None:
            span = slice(plan.left.begin, plan.left.end)
            theirs(layer, query[span], key[span], value[span], kv_cache, plan.theirs, output[span])
        return output

    def _open(self, kv_cache: torch.Tensor, ids: torch.Tensor) -> Pages:
        """Return the cache [P, Hkv, page, 2 * D] as our kernels read it, with `ids` as they name its pages."""
        both = kv_cache.transpose(1, 2)
        return Pages(both[..., : self.head_size], both[..., self.head_size :], ids)

    def _prefill(
        self, part: Part, query: torch.Tensor, kv_cache: torch.Tensor, metadata: Any, output: torch.Tensor
    ) -> None:
        state.serve(PREFILL)
        options, page = options_now(), kv_cache.shape[2]
        q = query[part.begin : part.end].view(-1, self.num_heads, self.head_size)
        table, lengths = self._rows(part, metadata, page)
        starts = (metadata.query_start_loc[part.first : part.last + 1] - part.begin).to(torch.int32)
        sizes = {"block_q": BLOCK, "block_kv": BLOCK, "max_seqlen_q": part.most_queries}
        indices, counts = select_blocks(
            q, self._known_stats(), table, starts, seq_lens=lengths, max_seqlen_k=part.most_tokens, page_size=page,
            method=options.method, scale=self.scale, **_in_blocks(options, BLOCK), **sizes,
        )  # fmt: skip
        pages = self._open(kv_cache, table)
        answer, _ = sparse_prefill(
            q, pages.k, pages.v, pages.ids, starts, lengths, indices, counts,
            scale=self.scale, softcap=float(self.logits_soft_cap or 0.0), **sizes,
        )  # fmt: skip
        output[part.begin : part.end] = answer

    def _decode(
        self, part: Part, query: torch.Tensor, kv_cache: torch.Tensor, metadata: Any, output: torch.Tensor
    ) -> None:
        state.serve(DECODE)
        options, page = options_now(), kv_cache.shape[2]
        # A captured graph may hold more rows than tokens, never fewer.
        last = min(part.last, part.first + part.end - part.begin)
        q = query[part.begin : part.begin + last - part.first].view(-1, self.num_heads, self.head_size)
        table, lengths = self._rows(part, metadata, page)
        table, lengths = table[: len(q)], lengths[: len(q)]
        ids, tokens = select_pages(
            q, self._known_stats(), table, lengths, page_size=page, max_seqlen_k=part.most_tokens,
            method=options.method, scale=self.scale, **_in_blocks(options, page),
        )  # fmt: skip
        pages = self._open(kv_cache, ids)
        answer, _ = sparse_decode(
            q, pages.k, pages.v, pages.ids, tokens, scale=self.scale, softcap=float(self.logits_soft_cap or 0.0)
        )
        output[part.begin : part.begin + len(q)] = answer

    def _rows(self, part: Part, metadata: Any, page: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return block table and lengths of a part, no wider than its longest sequence needs."""
        width = min(-(-part.most_tokens // page), metadata.block_table.shape[1])
        rows = slice(part.first, part.last)
        return metadata.block_table[rows, :width].to(torch.int32), metadata.seq_lens[rows].to(torch.int32)

    def _note(self, kv_cache: torch.Tensor, slots: torch.Tensor) -> None:
        """Bring the statistics of the pages that `slots` lie in up to date."""
        if self._has_stats(kv_cache):
            self._update(kv_cache, slots, self._known_stats())

    def _has_stats(self, kv_cache: torch.Tensor) -> bool:
        """Make room for the statistics of a cache; False where that must wait for the end of a graph's capture."""
        where = (kv_cache.data_ptr(), kv_cache.shape[0])
        if self._stats is not None and self._stats_of == where:
            return True
        if kv_cache.is_cuda and torch.cuda.is_current_stream_capturing():
            return False
        bounds = (2,) if options_now().method == "minmax" else ()
        shape = (kv_cache.shape[0], *bounds, self.num_kv_heads, self.head_size)
        self._stats, self._stats_of = kv_cache.new_zeros(shape), where
        return True

    def _update(self, kv_cache: torch.Tensor, slots: torch.Tensor, stats: torch.Tensor) -> None:
        """Update the statistics in place; a backend whose cache is not plain does it its own way."""
        keys = kv_cache.transpose(1, 2)[..., : self.head_size]
        update_page_stats(keys, slots, stats, method=options_now().method)

    def _known_stats(self) -> torch.Tensor:
        if self._stats is None:
            raise RuntimeError("no page has statistics yet; the cache was never written through this layer")
        return self._stats

    def _refuse(self, layer: Any, kv_cache: torch.Tensor) -> str | None:
        """Tell why this layer is not ours; found once, and counted once."""
        if not self._is_known:
            self._refusal, self._is_known = refuse_layer(self._facts(layer, kv_cache), options_now()), True
            if self._refusal is not None:
                state.refuse(LAYER_OP, self._refusal)
        return self._refusal

    def _facts(self, layer: Any, kv_cache: torch.Tensor) -> LayerFacts:
        impl: Any = self
        window = _window(impl.sliding_window)
        return LayerFacts(
            index=_index(layer.layer_name),
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_size=self.head_size,
            cache_dtype=impl.kv_cache_dtype,
            attn_type=str(getattr(impl.attn_type, "value", impl.attn_type)),
            has_alibi=impl.alibi_slopes is not None,
            has_sinks=impl.sinks is not None,
            sliding_window=window,
            shares_cache=impl.kv_sharing_target_layer_name is not None,
            has_connector=self._has_connector,
            context_ranks=int(impl.total_cp_world_size),
            page=int(kv_cache.shape[2]),
            is_half=kv_cache.dtype in {torch.float16, torch.bfloat16},
            on_gpu=kv_cache.is_cuda,
        )


@cache
def options_now() -> SparseOptions:
    """What the operator asked for; the environment does not change while an engine runs."""
    return read_attention(os.environ) or SparseOptions()


def _in_blocks(options: SparseOptions, block: int) -> dict[str, int]:
    """Return budget, sink and local in blocks of `block` tokens, rounded up; the query's own block is always local."""
    in_tokens = {"budget": options.budget, "sink": options.sink, "local": options.local}
    rounded = {name: -(-tokens // block) for name, tokens in in_tokens.items()}
    return {**rounded, "budget": max(1, rounded["budget"]), "local": max(1, rounded["local"])}


def _index(layer_name: str) -> int:
    """Return the number of a layer, `model.layers.7.self_attn.attn` -> 7; the last number, 0 without one."""
    numbers = [int(word) for word in layer_name.split(".") if word.isdecimal()]
    return numbers[0] if numbers else 0


def _window(window: Any) -> int | None:
    """Return the sliding window of a layer, None for none: vLLM says -1, (-1, -1) or (-1, 0)."""
    first = window[0] if isinstance(window, tuple) else window
    return None if first is None or first < 0 else int(first)


def _has_connector() -> bool:
    """True where pages of the cache may come from elsewhere, past `do_kv_cache_update`."""
    from vllm.config import get_current_vllm_config_or_none  # noqa: PLC0415  (only in a process of vLLM)

    config = get_current_vllm_config_or_none()
    return config is not None and getattr(config, "kv_transfer_config", None) is not None
