"""Keys and values to write, and int8 caches to write them to."""

import math
from typing import Final

import torch

from headrace.kernels.sparse_attention.kv_quant import reference

Buffers = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
UNTOUCHED: Final = 77


def tokens(
    count: int, *, kv_heads: int = 2, head_dim: int = 64, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return k and v of `count` tokens of all sizes, among them a row of zeros, one with a NaN and one with inf."""
    chance = torch.Generator().manual_seed(count)
    made = torch.randn(2, count, kv_heads, head_dim, generator=chance)
    made *= torch.logspace(-12, 3, max(1, count))[:count, None, None]
    if count > 5:
        made[:, 2, 0] = 0
        made[0, 3, 1, 5], made[1, 4, 0, 7], made[0, 5, 0, 0] = math.nan, math.inf, -math.inf
    k, v = made.to(dtype)
    return k, v


def caches(*, pages: int = 5, page: int = 16, kv_heads: int = 2, head_dim: int = 64) -> Buffers:
    """Return caches full of UNTOUCHED and scales full of NaN."""
    shape = (pages, page, kv_heads)
    return (
        torch.full((*shape, head_dim), UNTOUCHED, dtype=torch.int8),
        torch.full((*shape, head_dim), UNTOUCHED, dtype=torch.int8),
        torch.full(shape, math.nan),
        torch.full(shape, math.nan),
    )


def some_slots(count: int, *, of: int, seed: int = 0) -> torch.Tensor:
    """Return a slot for each token, some of them none: -1 and one past the end."""
    slots = torch.randperm(of, generator=torch.Generator().manual_seed(seed))[:count]
    slots[1::7], slots[6::11] = -1, of
    return slots


def wanted(k: torch.Tensor, v: torch.Tensor, slots: torch.Tensor, like: Buffers) -> Buffers:
    """Return what the reference writes to buffers like those, in float32: the arithmetic is part of the promise."""
    made = caches(pages=like[0].shape[0], page=like[0].shape[1], kv_heads=k.shape[1], head_dim=k.shape[2])
    reference.write_int8_kv(k.float(), v.float(), *made, slots)
    return made
