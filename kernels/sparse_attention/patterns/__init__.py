"""Block lists that do not look at the keys: all, a window with sinks, Longformer's and BigBird's patterns.

Each takes the rows of a batch (`query_blocks`) and returns what `select_blocks` returns: int32 indices
[num_kv_heads, rows, cap], ascending, -1 where unused, and int32 counts [num_kv_heads, rows]. All are causal, and a
query always sees its own block. Plain tensor arithmetic that torch.compile traces; no kernel.
"""

from collections.abc import Sequence
from typing import Final

import torch

from headrace.kernels.sparse_attention.patterns.lists import (
    QueryBlocks,
    block_lists,
    check_at_least,
    max_always_in,
    query_blocks,
)

__all__ = ["QueryBlocks", "bigbird", "dense", "longformer", "query_blocks", "sliding_window"]

Lists = tuple[torch.Tensor, torch.Tensor]

_WORD: Final = 0xFFFFFFFF


def dense(rows: QueryBlocks, *, num_kv_heads: int) -> Lists:
    """Return every visible block."""
    check_at_least(1, num_kv_heads=num_kv_heads)
    return _same_for_heads(rows.is_visible, num_kv_heads, rows.num_blocks)


def sliding_window(rows: QueryBlocks, *, num_kv_heads: int, window_blocks: int, sink_blocks: int = 0) -> Lists:
    """Return the blocks of a window that ends at each query, its own block counted, and the first `sink_blocks`."""
    check_at_least(1, num_kv_heads=num_kv_heads, window_blocks=window_blocks)
    check_at_least(0, sink_blocks=sink_blocks)
    keep = rows.always_in(sink=sink_blocks, local=window_blocks)
    return _same_for_heads(keep, num_kv_heads, _cap(rows, window_blocks, sink_blocks))


def longformer(rows: QueryBlocks, *, num_kv_heads: int, window_blocks: int, global_blocks: Sequence[int]) -> Lists:
    """Return the window's blocks, and global ones: seen by every row, and seeing all before them as rows.

    global_blocks: block numbers, counted from each sequence's beginning (Longformer, arXiv 2004.05150, made causal).
    """
    check_at_least(1, num_kv_heads=num_kv_heads, window_blocks=window_blocks)
    globals_ = sorted(set(global_blocks))
    check_at_least(0, **{f"global_blocks[{place}]": block for place, block in enumerate(globals_)})
    is_global = torch.zeros(rows.num_blocks, dtype=torch.bool, device=rows.first.device)
    row_is_global = torch.zeros_like(rows.first, dtype=torch.bool)
    for block in globals_:
        is_global |= rows.blocks == block
        row_is_global |= (rows.diagonal <= block) & (block < rows.visible)
    keep = rows.always_in(sink=0, local=window_blocks) | (rows.is_visible & (is_global | row_is_global[:, None]))
    cap = _cap(rows, window_blocks, len(globals_))
    if globals_:
        cap = max(cap, min(rows.num_blocks, _cap(rows, 1, globals_[-1])))
    return _same_for_heads(keep, num_kv_heads, cap)


def bigbird(
    rows: QueryBlocks, *, num_kv_heads: int, window_blocks: int, global_blocks: int, random_blocks: int, seed: int
) -> Lists:
    """Return window, the first `global_blocks`, and `random_blocks` others of each row and head (arXiv 2007.14062).

    The draw depends on seed, head, the row's place in its sequence and the block alone: not on the batch, the device
    or, where chunks are whole rows, the chunking. Fewer are drawn where fewer are left.
    """
    check_at_least(1, num_kv_heads=num_kv_heads, window_blocks=window_blocks)
    check_at_least(0, global_blocks=global_blocks, random_blocks=random_blocks)
    keep = rows.always_in(sink=global_blocks, local=window_blocks)
    left = (rows.is_visible & ~keep).expand(num_kv_heads, -1, -1)
    drawn = min(random_blocks, rows.num_blocks)
    # A block's ticket is its hash, then its number: no two are alike, so that the draw is the same on every device.
    ticket = _hash(rows, num_kv_heads, seed) * rows.num_blocks + rows.blocks
    best = torch.where(left, ticket, -1).topk(drawn, dim=-1).indices
    is_drawn = torch.zeros_like(left).scatter(-1, best, value=True) & left
    return block_lists(keep | is_drawn, min(rows.num_blocks, _cap(rows, window_blocks, global_blocks) + drawn))


def _cap(rows: QueryBlocks, local: int, sink: int) -> int:
    most = max_always_in(sink=sink, local=local, block_q=rows.block_q, block_kv=rows.block_kv)
    return min(rows.num_blocks, most)


def _same_for_heads(keep: torch.Tensor, num_kv_heads: int, cap: int) -> Lists:
    indices, counts = block_lists(keep, cap)
    return indices.expand(num_kv_heads, -1, -1).contiguous(), counts.expand(num_kv_heads, -1).contiguous()


def _hash(rows: QueryBlocks, num_kv_heads: int, seed: int) -> torch.Tensor:
    """Return a number below 2^32 for each head, row and block, int64 [num_kv_heads, rows, num_blocks]."""
    heads = torch.arange(num_kv_heads, device=rows.first.device)
    by_head = _mix(_mix(heads.new_full((), seed & _WORD)) + heads)
    by_row = _mix(by_head[:, None] + rows.first.div(rows.block_q, rounding_mode="floor"))
    return _mix(by_row[..., None] + rows.blocks)


def _mix(value: torch.Tensor) -> torch.Tensor:
    """Scramble the low 32 bits: two rounds of xor-shift and multiply, each of which can be undone."""
    value = value & _WORD
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & _WORD
    value = ((value ^ (value >> 15)) * 0x846CA68B) & _WORD
    return value ^ (value >> 16)
