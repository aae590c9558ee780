"""Launch the kernels of choosing blocks: grids and tiles from static sizes and the tuned tables."""

import torch

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.patterns.lists import ceil_div
from headrace.kernels.sparse_attention.select._kernel import keep_kernel, pool_kernel, score_kernel
from headrace.kernels.sparse_attention.select.choice import Choice, Given

POOL, SCORE, KEEP = "select_pool", "select_score", "select_keep"
_SCORE_ALIGN = 16


def select(given: Given, choice: Choice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lists and their counts, as `_torch.select` does."""
    return keep(score(given, choice), given, choice)


def pool(q: torch.Tensor, cu_seqlens: torch.Tensor, choice: Choice, dtype: torch.dtype) -> torch.Tensor:
    """Return each row's mean query [rows, 1, H, D], in minmax its parts above and below 0 [rows, 2, H, D]."""
    _, heads, size = q.shape
    rows = (cu_seqlens.shape[0] - 1) * choice.max_rows
    pooled = torch.empty((rows, 2 if choice.is_minmax else 1, heads, size), dtype=dtype, device=q.device)
    if pooled.numel():
        row = tuned.choose(POOL, tuned.arch(q.device), d=size)
        pool_kernel[rows, heads](
            q, cu_seqlens, pooled, q.stride(0), q.stride(1), heads, size, choice.max_rows,
            BLOCK_Q=choice.block_q, BLOCK_T=min(row["block_t"], power_of_two(choice.block_q)),
            BLOCK_D=power_of_two(size, 16), SPLIT=choice.is_minmax,
            num_warps=row["num_warps"], num_stages=row["num_stages"],
        )  # fmt: skip
    return pooled


def score(given: Given, choice: Choice) -> torch.Tensor:
    """Return float32 scores [Hkv, rows, max_blocks] (a view); what a row does not see is not written."""
    q, kmeta, block_table, cu_seqlens, seq_lens = given
    batch, kv_heads, size = seq_lens.shape[0], kmeta.shape[-2], q.shape[-1]
    group = q.shape[1] // kv_heads
    width = ceil_div(choice.max_blocks, _SCORE_ALIGN) * _SCORE_ALIGN
    scores = torch.empty((kv_heads, batch * choice.max_rows, width), dtype=torch.float32, device=q.device)
    scores = scores[..., : choice.max_blocks]
    if not scores.numel():
        return scores
    pooled = q[:, None] if choice.is_decode else pool(q, cu_seqlens, choice, kmeta.dtype)
    padded = power_of_two(group)
    row = tuned.choose(SCORE, tuned.arch(q.device), m=choice.max_rows * padded)
    block_m = max(row["block_m"], padded)
    tiles = ceil_div(choice.max_rows, block_m // padded)
    score_kernel[batch * tiles, ceil_div(choice.max_blocks, row["block_n"]), kv_heads](
        pooled, kmeta, block_table, cu_seqlens, seq_lens, scores, choice.scale,
        pooled.stride(0), pooled.stride(1), pooled.stride(2),
        kmeta.stride(0), kmeta.stride(1) if choice.is_minmax else 0, kmeta.stride(-2),
        block_table.stride(0), scores.stride(0), scores.stride(1),
        kmeta.shape[0], size, choice.max_rows, choice.max_blocks, block_table.shape[1],
        G=group, GROUP=padded, PAGE=choice.page_size, PAGES=choice.pages_per_block, BLOCK_Q=choice.block_q,
        BLOCK_M=block_m, BLOCK_N=row["block_n"], BLOCK_D=power_of_two(size, 16),
        MINMAX=choice.is_minmax, DECODE=choice.is_decode,
        num_warps=row["num_warps"], num_stages=row["num_stages"],
    )  # fmt: skip
    return scores


def keep(scores: torch.Tensor, given: Given, choice: Choice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lists of the best blocks of `scores`, and their counts."""
    kv_heads, rows, _ = scores.shape
    shape = choice.lists_shape(given.seq_lens.shape[0], kv_heads)
    indices = torch.empty((*shape, choice.max_listed), dtype=torch.int32, device=scores.device)
    counts = torch.empty(shape, dtype=torch.int32, device=scores.device)
    if not counts.numel():
        return indices, counts
    head, line = (1, 0) if choice.is_decode else (0, 1)
    row = tuned.choose(KEEP, tuned.arch(scores.device), n=choice.max_blocks)
    keep_kernel[rows, kv_heads](
        scores, given.block_table, given.cu_seqlens, given.seq_lens, indices, counts,
        scores.stride(0), scores.stride(1), given.block_table.stride(0),
        indices.stride(head), indices.stride(line), counts.stride(head), counts.stride(line),
        choice.budget, choice.sink, choice.local, 1.0 if choice.share is None else choice.share,
        choice.max_rows, choice.max_blocks, choice.max_listed,
        BLOCK_Q=choice.block_q, BLOCK_KV=choice.block_kv, BLOCK_N=power_of_two(choice.max_blocks, 32),
        TOP_P=choice.share is not None, DECODE=choice.is_decode,
        num_warps=row["num_warps"], num_stages=row["num_stages"],
    )  # fmt: skip
    return indices, counts


def power_of_two(size: int, least: int = 1) -> int:
    """Return the least power of two that is not below `size` or `least`."""
    return max(least, 1 << max(0, size - 1).bit_length())
