"""The plainest statement of expert alignment: one expert after another, one block after another, for tests."""

import torch


def align(ids: torch.Tensor, num_experts: int, block_m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return int32 (sorted_ids, expert_ids, num_post) of `ids` [T, k], as `moe_align` defines them."""
    flat = ids.flatten().tolist()
    pad = len(flat)
    rows: list[int] = []
    owners: list[int] = []
    for expert in range(num_experts):
        mine = [place for place, chosen in enumerate(flat) if chosen == expert]
        while mine:
            block, mine = mine[:block_m], mine[block_m:]
            rows += block + [pad] * (block_m - len(block))
            owners.append(expert)
    most = max(1, (pad + min(num_experts, pad) * (block_m - 1)) // block_m)
    num_post = len(rows)
    rows += [pad] * (most * block_m - num_post)
    owners += [-1] * (most - len(owners))
    sorted_ids, expert_ids, count = (torch.tensor(each, dtype=torch.int32) for each in (rows, owners, [num_post]))
    return sorted_ids, expert_ids, count
