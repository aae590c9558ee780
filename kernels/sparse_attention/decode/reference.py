"""The plainest statement of attention of one query over listed pages, in whatever floating type it is given."""

import torch

from headrace.kernels.sparse_attention.prefill.reference import attend


def sparse_decode(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    pages: torch.Tensor,
    n_valid: torch.Tensor,
    *,
    scale: float | None = None,
    softcap: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return o [B, H, D] and lse [B, H], one query of one head after the other."""
    out, lse = torch.zeros_like(q), q.new_full(q.shape[:2], float("-inf"))
    page = k_cache.shape[1]
    for request in range(q.shape[0]):
        for head in range(q.shape[1]):
            kv_head = head * k_cache.shape[2] // q.shape[1]
            listed = pages[request, kv_head].tolist()
            places = [(listed[at // page], at % page) for at in range(int(n_valid[request, kv_head]))]
            places = [(physical, slot) for physical, slot in places if 0 <= physical < k_cache.shape[0]]
            physical, slots = torch.tensor(places, dtype=torch.int64).reshape(-1, 2).unbind(1)
            keys, values = k_cache[physical, slots, kv_head], v_cache[physical, slots, kv_head]
            out[request, head], lse[request, head] = attend(q[request, head], keys, values, scale, softcap)
    return out, lse
