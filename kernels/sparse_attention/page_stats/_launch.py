"""Launch the kernel of page statistics: a program a token and head, of which the last of each page works."""

import torch

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.page_stats._kernel import page_stats_kernel

OP = "page_stats"


def rows(block_t: int, *, is_int8: bool) -> int:
    """Return how many keys a step takes: of int8 ones twice the table's, so that each thread still loads 16 bytes."""
    return 2 * block_t if is_int8 else block_t


def update(
    k_cache: torch.Tensor, slots: torch.Tensor, kmeta: torch.Tensor, k_scale: torch.Tensor | None, *, is_minmax: bool
) -> None:
    """Sum up anew the pages that `slots` lie in, up to the last slot of each."""
    pages, page_size, kv_heads, size = k_cache.shape
    row = tuned.choose(OP, tuned.arch(k_cache.device), d=size)
    scale_strides = (0, 0, 0) if k_scale is None else k_scale.stride()
    page_stats_kernel[slots.shape[0], kv_heads](
        k_cache, slots if k_scale is None else k_scale, slots, kmeta,
        k_cache.stride(0), k_cache.stride(1), k_cache.stride(2), *scale_strides,
        kmeta.stride(0), kmeta.stride(1) if is_minmax else 0, kmeta.stride(-2), slots.shape[0], pages, size,
        PAGE=page_size, BLOCK_T=rows(row["block_t"], is_int8=k_scale is not None),
        BLOCK_D=max(16, 1 << (size - 1).bit_length()), MINMAX=is_minmax, SCALED=k_scale is not None,
        num_warps=row["num_warps"], num_stages=row["num_stages"],
    )  # fmt: skip
