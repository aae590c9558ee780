"""`sparse_decode` in torch: the listed pages are gathered and multiplied, some requests and KV heads at a time."""

from typing import Final

import torch

PORTION_KEYS: Final = 1 << 23
"""How many numbers of gathered keys a portion holds at most, a single list apart."""


def attend(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    pages: torch.Tensor,
    n_valid: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    scale: float,
    softcap: float,
    *,
    may_look: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return o [B, H, D] and lse [B, H] float32. may_look: the host may read counts, as it may those of a CPU."""
    requests, heads, head_dim = q.shape
    kv_heads, page = k_cache.shape[2], k_cache.shape[1]
    rows = requests * kv_heads
    grouped = q.reshape(rows, heads // kv_heads, head_dim)
    kv_head = torch.arange(kv_heads, device=q.device).repeat(requests)
    lists, valid = pages.reshape(rows, -1), n_valid.reshape(rows)
    if may_look:
        lists = lists[:, : -(-int(valid.max()) // page)]
    several = max(1, PORTION_KEYS // max(1, lists.shape[1] * page * head_dim))
    out, lse = torch.empty_like(grouped), grouped.new_empty(grouped.shape[:2], dtype=torch.float32)
    for first in range(0, rows, several):
        some = slice(first, first + several)
        is_key = torch.arange(lists.shape[1] * page, device=q.device) < valid[some, None]
        exists = (lists[some] >= 0) & (lists[some] < k_cache.shape[0])
        is_key &= exists.repeat_interleave(page, 1)
        at = torch.where(exists, lists[some], 0).long(), kv_head[some, None]
        keys, values = _restored(k_cache, k_scale, at, q.dtype), _restored(v_cache, v_scale, at, q.dtype)
        values.masked_fill_(~is_key[..., None], 0)
        scores = grouped[some].to(keys.dtype) * scale @ keys.transpose(1, 2)  # [rows, G, N]
        if softcap:
            scores = torch.tanh_(scores.div_(softcap)).mul_(softcap)
        scores.masked_fill_(~is_key[:, None], float("-inf"))
        log_sum = torch.logsumexp(scores, 2)
        weights = torch.exp_(scores.sub_(torch.where(log_sum == float("-inf"), 0.0, log_sum)[..., None]))
        out[some], lse[some] = (weights @ values).to(q.dtype), log_sum.to(torch.float32)
    return out.view(q.shape), lse.view(requests, heads)


def _restored(
    cache: torch.Tensor, scale: torch.Tensor | None, at: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype
) -> torch.Tensor:
    """Return the rows [rows, N, D] of the pages and KV heads `at`, in at least float32."""
    work = torch.promote_types(dtype, torch.float32)
    physical, kv_head = at
    found = cache[physical, :, kv_head].to(work)  # [rows, n, page, D]
    if scale is not None:
        found *= scale[physical, :, kv_head].to(work)[..., None]
    return found.flatten(1, 2)
