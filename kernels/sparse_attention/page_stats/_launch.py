"""Launch the kernel of page statistics: a program a token and head, of which the last of each page works."""

import torch

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.page_stats._kernel import page_stats_kernel

OP = "page_stats"


def update(k_cache: torch.Tensor, slots: torch.Tensor, kmeta: torch.Tensor, *, is_minmax: bool) -> None:
    """Sum up anew the pages that `slots` lie in, up to the last slot of each."""
    pages, page_size, kv_heads, size = k_cache.shape
    row = tuned.choose(OP, tuned.arch(k_cache.device), d=size)
    page_stats_kernel[slots.shape[0], kv_heads](
        k_cache, slots, kmeta, k_cache.stride(0), k_cache.stride(1), k_cache.stride(2),
        kmeta.stride(0), kmeta.stride(1) if is_minmax else 0, kmeta.stride(-2), slots.shape[0], pages, size,
        PAGE=page_size, BLOCK_T=row["block_t"], BLOCK_D=max(16, 1 << (size - 1).bit_length()), MINMAX=is_minmax,
        num_warps=row["num_warps"], num_stages=row["num_stages"],
    )  # fmt: skip
