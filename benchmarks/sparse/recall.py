"""How much of the attention a model really pays lies in the blocks that a method keeps. Measured on a dense pass."""

import torch

from benchmarks.sparse.methods import BLOCK, Cache, Lists

STEP = 8  # query blocks at a time, for memory


def recalled(q: torch.Tensor, cache: Cache, lists: Lists) -> tuple[float, float]:
    """Return (share of the attention in the kept blocks, the most that as many blocks could hold).

    Means over queries and heads. q: [T, H, D]; lists: for the sequence of `cache`. The blocks of a list serve all
    queries of its block and all heads of its group, so the bound is that of the best list, not of the best keys.
    """
    group = q.shape[1] // cache.keys.shape[2]
    keys = cache.keys.flatten(0, 1)[: cache.length].repeat_interleave(group, 1)  # [T, H, D]
    held, most, seen = 0.0, 0.0, 0
    for first in range(0, cache.length, STEP * BLOCK):
        part = q[first : first + STEP * BLOCK]
        mass = _mass(part, keys, first, cache.keys.shape[0])  # [H, rows, blocks]
        rows = slice(first // BLOCK, first // BLOCK + mass.shape[1])
        by_head = mass.unflatten(0, (-1, group)).sum(1)  # [Hkv, rows, blocks]
        counts = lists[1][:, rows]
        index = lists[0][:, rows].long()
        kept = torch.where(index >= 0, by_head.gather(-1, index.clamp(min=0)), 0.0)
        best = (
            by_head.sort(-1, descending=True).values.cumsum(-1).gather(-1, (counts.long() - 1).clamp(min=0)[..., None])
        )
        held, most, seen = held + kept.sum().item(), most + best.sum().item(), seen + part.shape[0] * q.shape[1]
    return held / seen, most / seen


def _mass(part: torch.Tensor, keys: torch.Tensor, first: int, blocks: int) -> torch.Tensor:
    """Return the attention of queries [t, H, D], the first at `first`, summed by block: [H, query blocks, blocks]."""
    scores = torch.einsum("thd,shd->hts", part, keys) * part.shape[-1] ** -0.5
    places = torch.arange(keys.shape[0])
    scores.masked_fill_(places > first + torch.arange(part.shape[0])[:, None], float("-inf"))
    paid = scores.softmax(-1)
    padded = torch.nn.functional.pad(paid, (0, blocks * BLOCK - keys.shape[0], 0, -part.shape[0] % BLOCK))
    return padded.unflatten(2, (blocks, BLOCK)).unflatten(1, (-1, BLOCK)).sum((2, 4))
