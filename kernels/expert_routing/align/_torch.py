"""Expert alignment in torch: a stable sort and a running sum, with no size that depends on the ids."""

import torch


def align(
    ids: torch.Tensor, num_experts: int, block_m: int, blocks: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return int32 (sorted_ids, expert_ids, num_post) for `blocks` blocks; see `moe_align`."""
    flat = ids.reshape(-1).to(torch.int64)
    pad, slots, device = flat.numel(), blocks * block_m, ids.device
    expert = torch.where((flat >= 0) & (flat < num_experts), flat, num_experts)
    counts = torch.zeros(num_experts + 1, dtype=torch.int64, device=device)
    counts.scatter_add_(0, expert, torch.ones_like(expert))
    padded = (counts[:num_experts] + (block_m - 1)) // block_m * block_m
    ends = padded.cumsum(0)

    # How much further an expert's rows stand than in the sorted list; the absent go to one slot behind the last.
    shift = torch.cat([ends - padded, ends.new_zeros(1)]) - (counts.cumsum(0) - counts)
    owner, order = torch.sort(expert, stable=True)
    slot = torch.where(owner < num_experts, torch.arange(pad, device=device) + shift[owner], slots)
    sorted_ids = torch.full((slots + 1,), pad, dtype=torch.int32, device=device)
    sorted_ids[slot] = order.to(torch.int32)

    starts = torch.arange(blocks, device=device) * block_m
    expert_ids = torch.searchsorted(ends, starts, right=True)
    expert_ids = torch.where(starts < ends[-1], expert_ids, -1).to(torch.int32)
    return sorted_ids[:slots].clone(), expert_ids, ends[-1:].to(torch.int32)
