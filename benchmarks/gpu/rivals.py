"""Other ways to compute what a case computes: torch, FlexAttention, vLLM's own. Each is prepared once, then timed.

A rival that a machine does not have, or that cannot take the sizes, is left out with its reason.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor

from headrace.kernels import dispatch
from headrace.kernels.inspect.cases import BLOCK, Case

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody who computes the same: prepare gives the call that is timed. dense: it reads what ours leaves out."""

    name: str
    prepare: Callable[[Case], Call]
    dense: bool = False


def rivals(op: str) -> tuple[Rival, ...]:
    """Return who is timed beside an op."""
    return (Rival("torch", torch_path), *_OTHERS.get(op, ()))


@contextmanager
def kernels(mode: str) -> Iterator[None]:
    """Let ops take one path meanwhile: `triton` or `torch`."""
    with patch.dict(os.environ, {dispatch.MODE_VARIABLE: mode}):
        yield


def torch_path(case: Case) -> Call:
    """Return the op's own path without Triton."""

    def run() -> object:
        with kernels("torch"):
            return case.run()

    return run


def flex_attention(case: Case) -> Call:
    """Return compiled FlexAttention over the same block lists, on keys laid out one after the other."""
    from torch.nn.attention import flex_attention as flex  # noqa: PLC0415  (only where it is timed)

    given = case.inputs
    q, idx, cnt = given["q"], given["idx"], given["cnt"]
    heads, context = q.shape[1], int(given["lens"][0])
    before = context - q.shape[0]
    keys, values = (laid_out(given[name], given["table"], context) for name in "kv")
    group = heads // keys.shape[1]

    def causal(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query + before >= key

    mask = flex.BlockMask.from_kv_blocks(
        cnt.repeat_interleave(group, 0)[None],
        idx.clamp(min=0).repeat_interleave(group, 0)[None],
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=causal,
        seq_lengths=(q.shape[0], context),
        compute_q_blocks=False,
    )
    compiled = torch.compile(flex.flex_attention, dynamic=False)
    queries = q.transpose(0, 1)[None].contiguous()
    return lambda: compiled(queries, keys, values, block_mask=mask, enable_gqa=True)


def torch_attention(case: Case) -> Call:
    """Return torch's scaled_dot_product_attention over everything, which is dense."""
    given = case.inputs
    q, context = given["q"], int(given["lens"][0])
    keys, values = (laid_out(given[name], given["table"], context) for name in "kv")
    queries = q.transpose(0, 1)[None].contiguous()
    from torch.nn.attention.bias import causal_lower_right  # noqa: PLC0415  (only where it is timed)

    bias = causal_lower_right(q.shape[0], context)
    attend = torch.nn.functional.scaled_dot_product_attention
    return lambda: attend(queries, keys, values, attn_mask=bias, enable_gqa=True)


def laid_out(cache: Tensor, table: Tensor, context: int) -> Tensor:
    """Return [1, heads, context, dim] of a paged cache [pages, page, heads, dim] in the order of a table [1, pages]."""
    rows = cache[table[0].long()].flatten(0, 1)[:context]
    return rows.transpose(0, 1)[None].contiguous()


def vllm_gate(case: Case) -> Call:
    """Return vLLM's compiled softmax and top k."""
    from vllm import _custom_ops as ops  # noqa: PLC0415  (only where it is timed)

    logits, top_k = case.inputs["logits"].float(), case.inputs["top_k"]
    weights = torch.empty(logits.shape[0], top_k, device=logits.device)
    ids, rows = (torch.empty(weights.shape, dtype=torch.int32, device=logits.device) for _ in range(2))
    return lambda: ops.topk_softmax(weights, ids, rows, logits, True)  # noqa: FBT003  (its signature)


def vllm_align(case: Case) -> Call:
    """Return vLLM's compiled alignment."""
    from vllm.model_executor.layers.fused_moe.moe_align_block_size import moe_align_block_size  # noqa: PLC0415  (only where it is timed)

    given = case.inputs
    return lambda: moe_align_block_size(given["ids"], given["block_m"], given["num_experts"])


def vllm_experts(case: Case) -> Call:
    """Return vLLM's Triton experts, with the same weights."""
    from vllm.model_executor.layers.fused_moe import fused_moe  # noqa: PLC0415  (only where it is timed)

    given = case.inputs
    is_quantised = given["s13"] is not None
    is_int4 = given["w13"].dtype == torch.uint8
    w13, w2 = (given[name].view(torch.uint8) if is_quantised and not is_int4 else given[name] for name in ("w13", "w2"))
    named = {"w1_scale": given["s13"], "w2_scale": given["s2"]} if is_quantised else {}
    return lambda: fused_moe.fused_experts_op(
        given["x"],
        w13,
        w2,
        given["weights"],
        given["ids"],
        use_int8_w8a16=is_quantised and not is_int4,
        use_int4_w4a16=is_int4,
        block_shape=[0, 128] if is_quantised else None,
        **named,
    )


def vllm_attention(case: Case) -> Call:
    """Return vLLM's Triton attention over everything, which is dense, with its own split for single queries."""
    from vllm.v1.attention.ops.triton_unified_attention import unified_attention  # noqa: PLC0415  (only where it is timed)

    given = case.inputs
    q, segments = given["q"], 16
    batch = 1 if "lens" in given else q.shape[0]
    context = int(given["lens"][0]) if "lens" in given else int(given["context"])
    a_sequence = q.shape[0] // batch
    pages = torch.arange(given["k"].shape[0], dtype=torch.int32, device=q.device).view(batch, -1)
    parts = (q.shape[0], q.shape[1], segments)
    buffers = [torch.empty(shape, device=q.device) for shape in ((*parts, q.shape[2]), parts, parts)]
    out = torch.empty_like(q)
    starts = torch.arange(0, q.shape[0] + 1, a_sequence, dtype=torch.int32, device=q.device)
    lens = torch.full((batch,), context, dtype=torch.int32, device=q.device)
    return lambda: unified_attention(
        q, given["k"], given["v"], out, starts, a_sequence, lens, context, q.shape[2] ** -0.5, causal=True,
        window_size=(-1, -1), block_table=pages, softcap=0.0, q_descale=None, k_descale=None, v_descale=None,
        seq_threshold_3D=128, num_par_softmax_segments=segments, softmax_segm_output=buffers[0],
        softmax_segm_max=buffers[1], softmax_segm_expsum=buffers[2],
    )  # fmt: skip


_OTHERS = {
    "moe_gate": (Rival("vllm topk_softmax", vllm_gate),),
    "moe_align": (Rival("vllm moe_align_block_size", vllm_align),),
    "fused_experts": (Rival("vllm fused_experts (triton)", vllm_experts),),
    "sparse_prefill": (
        Rival("flex_attention", flex_attention),
        Rival("torch sdpa, dense", torch_attention, dense=True),
        Rival("vllm unified_attention (triton), dense", vllm_attention, dense=True),
    ),
    "sparse_decode": (Rival("vllm unified_attention (triton), dense", vllm_attention, dense=True),),
}
