"""`merge_parts` in torch, all rows at once."""

import torch


def merge_parts(o: torch.Tensor, lse: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `merge_parts` promises of o [N, S, D] and lse [N, S]."""
    work = torch.promote_types(o.dtype, torch.float32)
    if not o.shape[1]:
        return o.new_zeros((o.shape[0], o.shape[2]), dtype=dtype), lse.new_full((o.shape[0],), float("-inf"))
    merged_lse = torch.logsumexp(lse.to(work), 1)
    base = torch.where(merged_lse == float("-inf"), 0.0, merged_lse)
    weight = torch.exp(lse.to(work) - base[:, None])[:, :, None]
    merged = (torch.where(weight == 0, 0.0, o.to(work)) * weight).sum(1)
    return merged.to(dtype), merged_lse.to(torch.float32)
