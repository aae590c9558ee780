"""The plainest statement of merging partial attention outputs, in whatever floating type it is given."""

import torch


def merge_parts(o: torch.Tensor, lse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o [N, D], lse [N]) of the parts o [N, S, D], lse [N, S]: the softmax over all keys of all parts."""
    merged = torch.zeros_like(o[:, 0]) if o.shape[1] else o.new_zeros((o.shape[0], o.shape[2]))
    merged_lse = torch.full((lse.shape[0],), float("-inf"), dtype=lse.dtype, device=lse.device)
    for row in range(o.shape[0]):
        present = lse[row] != float("-inf")
        if bool(present.any()):
            merged_lse[row] = torch.logsumexp(lse[row, present], 0)
            merged[row] = torch.exp(lse[row, present] - merged_lse[row]).to(o.dtype) @ o[row, present]
    return merged, merged_lse
