"""Choose the blocks of keys that queries attend to, by what is known of each page: its mean key, or its extremes.

`select_blocks` serves prefill: one list for each block of queries and each key-value head. `select_pages` serves
decode: physical pages for the newest query of each sequence. README.md has the maths and the rules for ties and NaN.
"""

from typing import Any, Final, Literal, get_args

import torch

from headrace.kernels.checking import (
    check_choice,
    check_devices,
    check_dtype,
    check_last_contiguous,
    check_range,
    check_shape,
    values_are_checked,
)
from headrace.kernels.dispatch import uses_triton
from headrace.kernels.sparse_attention.patterns.lists import ceil_div, check_at_least, check_batch
from headrace.kernels.sparse_attention.select import _torch
from headrace.kernels.sparse_attention.select.choice import Choice, Given, max_blocks

__all__ = ["Method", "select_blocks", "select_pages"]

Method = Literal["mean", "minmax"]

_FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16)
_MAX_HEAD_DIM: Final = 256
_MAX_BLOCKS: Final = 8192  # what a program can hold in 64 KiB of shared memory
_MAX_GROUP: Final = 64


def select_blocks(
    q: torch.Tensor,
    kmeta: torch.Tensor,
    block_table: torch.Tensor,
    cu_seqlens: torch.Tensor,
    *,
    budget: int,
    sink: int,
    local: int,
    max_seqlen_q: int,
    max_seqlen_k: int,
    seq_lens: torch.Tensor | None = None,
    method: Method = "mean",
    top_p: float | None = None,
    block_q: int = 64,
    block_kv: int = 64,
    page_size: int | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for each block of queries the blocks of keys to attend to: int32 idx [Hkv, nQ, cap] and cnt [Hkv, nQ].

    q: [T, H, D]. kmeta: [P, Hkv, D] page means, or [P, 2, Hkv, D] page minima and maxima (`update_page_stats`).
    block_table: int32 [B, pages]. cu_seqlens: int32 [B+1]. seq_lens: int32 [B], keys in all, whose last are the
    queries; None where there is no prefix. page_size: tokens a page; None means block_kv, of which it must be a
    divisor. scale: of the scores, for top_p; None means D ** -0.5.
    Row b * ceil(max_seqlen_q / block_q) + j of the result is query block j of sequence b; idx ascends and is -1 past
    cnt, which is 0 for rows past a sequence's end. Kept are the first `sink` blocks, each query's own block and the
    `local - 1` before it, and of the rest the best until there are `budget`, or, with top_p, until the softmax over
    the visible blocks' scores reaches it, if that comes first. Equal scores: the lower number. Raises ValueError
    and TypeError. Safe to share between threads.
    """
    page = block_kv if page_size is None else page_size
    check_at_least(1, block_q=block_q, block_kv=block_kv, page_size=page)
    if block_kv % page:
        raise ValueError(f"block_kv={block_kv} is no multiple of page_size={page}; wanted whole pages in a block")
    check_batch(cu_seqlens, seq_lens, max_seqlen_q=max_seqlen_q, max_seqlen_k=max_seqlen_k)
    check_devices(q=q, cu_seqlens=cu_seqlens)
    _check(q, kmeta, block_table, cu_seqlens.shape[0] - 1, method)
    _check_choice(budget=budget, sink=sink, local=local, top_p=top_p)
    lens = cu_seqlens.diff() if seq_lens is None else seq_lens
    _check_pages(block_table, lens, kmeta.shape[0], page)
    if values_are_checked(cu_seqlens) and int(cu_seqlens[-1]) != q.shape[0]:
        raise ValueError(f"cu_seqlens ends in {int(cu_seqlens[-1])} and q has {q.shape[0]} rows; wanted the same")
    most = max_blocks(max_seqlen_k, block_kv=block_kv, page_size=page, table_pages=block_table.shape[1])
    indices, counts = _select(
        q, kmeta, block_table, cu_seqlens, lens, budget=budget, sink=sink, local=local, share=top_p,
        scale=_scale(q, scale), page_size=page, block_q=block_q, block_kv=block_kv,
        max_rows=ceil_div(max_seqlen_q, block_q), max_blocks=most, is_minmax=method == "minmax", is_decode=False,
    )  # fmt: skip
    return indices, counts


def select_pages(
    q: torch.Tensor,
    kmeta: torch.Tensor,
    block_table: torch.Tensor,
    seq_lens: torch.Tensor,
    *,
    budget: int,
    sink: int,
    local: int,
    page_size: int,
    method: Method = "minmax",
    top_p: float | None = None,
    max_seqlen_k: int | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `sparse_decode` reads: int32 pages [B, Hkv, n], physical, and n_valid [B, Hkv], tokens in them.

    q: [B, H, D], each the newest token of its sequence. kmeta, block_table, scale: as in `select_blocks`. seq_lens:
    int32 [B], keys in all, the newest counted; 0 for a row to leave out. budget, sink, local: in pages, chosen as
    there. max_seqlen_k: cap of seq_lens; None means what the block table has room for. Pages stand in the order of
    their tokens, the newest last, so that all before it are full; -1 past the last. Raises ValueError and TypeError.
    """
    check_at_least(1, page_size=page_size)
    check_shape("seq_lens", seq_lens, "B")
    check_dtype("seq_lens", seq_lens, torch.int32)
    check_devices(q=q, seq_lens=seq_lens)
    _check(q, kmeta, block_table, seq_lens.shape[0], method)
    check_shape("q", q, seq_lens.shape[0], "H", "D")
    _check_choice(budget=budget, sink=sink, local=local, top_p=top_p)
    longest = block_table.shape[1] * page_size if max_seqlen_k is None else max_seqlen_k
    check_at_least(0, max_seqlen_k=longest)
    check_range("seq_lens", seq_lens, 0, longest)
    _check_pages(block_table, seq_lens, kmeta.shape[0], page_size)
    most = max_blocks(longest, block_kv=page_size, page_size=page_size, table_pages=block_table.shape[1])
    pages, tokens = _select(
        q, kmeta, block_table, seq_lens, seq_lens, budget=budget, sink=sink, local=local, share=top_p,
        scale=_scale(q, scale), page_size=page_size, block_q=1, block_kv=page_size,
        max_rows=1, max_blocks=most, is_minmax=method == "minmax", is_decode=True,
    )  # fmt: skip
    return pages, tokens


@torch.library.custom_op("headrace::select_blocks", mutates_args=())
def _select(
    q: torch.Tensor,
    kmeta: torch.Tensor,
    block_table: torch.Tensor,
    cu_seqlens: torch.Tensor,
    seq_lens: torch.Tensor,
    *,
    budget: int,
    sink: int,
    local: int,
    share: float | None,
    scale: float,
    page_size: int,
    block_q: int,
    block_kv: int,
    max_rows: int,
    max_blocks: int,
    is_minmax: bool,
    is_decode: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    choice = Choice(
        page_size=page_size, block_q=block_q, block_kv=block_kv, max_rows=max_rows, max_blocks=max_blocks,
        budget=budget, sink=sink, local=local, scale=scale, share=share, is_minmax=is_minmax, is_decode=is_decode,
    )  # fmt: skip
    given = Given(q, kmeta, block_table, cu_seqlens, seq_lens)
    op = "select_pages" if is_decode else "select_blocks"
    if not uses_triton(op, q.device, _unsupported(q, kmeta, choice)):
        return _torch.select(given, choice)
    from headrace.kernels.sparse_attention.select import _launch  # noqa: PLC0415  (triton only where it serves)

    return _launch.select(given, choice)


@_select.register_fake
def _(
    q: torch.Tensor,
    kmeta: torch.Tensor,
    block_table: torch.Tensor,
    *_: torch.Tensor,
    **sizes: Any,  # noqa: ANN401  (those of Choice, each of its own type)
) -> tuple[torch.Tensor, torch.Tensor]:
    choice = Choice(**sizes)
    shape = choice.lists_shape(block_table.shape[0], kmeta.shape[-2])
    return q.new_empty((*shape, choice.max_listed), dtype=torch.int32), q.new_empty(shape, dtype=torch.int32)


def _unsupported(q: torch.Tensor, kmeta: torch.Tensor, choice: Choice) -> str | None:
    if q.shape[-1] > _MAX_HEAD_DIM:
        return "head-dim"
    if choice.max_blocks > _MAX_BLOCKS:
        return "blocks"
    return "group" if q.shape[1] > _MAX_GROUP * kmeta.shape[-2] else None


def _check(q: torch.Tensor, kmeta: torch.Tensor, block_table: torch.Tensor, batch: int, method: str) -> None:
    check_choice("method", method, get_args(Method))
    check_shape("q", q, "T", "H", "D")
    parts = (2,) if method == "minmax" else ()
    check_shape("kmeta", kmeta, "P", *parts, "Hkv", q.shape[2])
    check_shape("block_table", block_table, batch, "pages")
    check_dtype("q", q, *_FLOATS)
    check_dtype("kmeta", kmeta, *_FLOATS)
    check_dtype("block_table", block_table, torch.int32)
    check_devices(q=q, kmeta=kmeta, block_table=block_table)
    check_last_contiguous(q=q, kmeta=kmeta, block_table=block_table)
    if not kmeta.shape[-2] or q.shape[1] % kmeta.shape[-2]:
        raise ValueError(f"q has {q.shape[1]} heads and kmeta {kmeta.shape[-2]}; wanted a multiple of them")


def _check_choice(*, budget: int, sink: int, local: int, top_p: float | None) -> None:
    check_at_least(1, budget=budget, local=local)
    check_at_least(0, sink=sink)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}; wanted a share above 0 and up to 1, or None")


def _check_pages(block_table: torch.Tensor, seq_lens: torch.Tensor, num_pages: int, page_size: int) -> None:
    """Look at the entries of the block table that sequences reach, where values are checked."""
    check_range("seq_lens", seq_lens, 0, block_table.shape[1] * page_size)
    if values_are_checked(block_table):
        reached = torch.arange(block_table.shape[1], device=block_table.device) * page_size < seq_lens[:, None]
        check_range("block_table", block_table[reached], 0, num_pages - 1)


def _scale(q: torch.Tensor, scale: float | None) -> float:
    return max(1, q.shape[-1]) ** -0.5 if scale is None else float(scale)
