"""The grouped expert GEMM in torch: by expert where values may be looked at, by block where the device must not wait.

Accumulation is torch's own (float32 inside one product); gate, up and the row factor are combined in float32.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from headrace.kernels.quant_layout import restore

if TYPE_CHECKING:
    from headrace.kernels.expert_routing.gemm.launch import Product


def multiply(product: "Product", align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """Write the rows of `out` that `align` names."""
    if out.device.type == "cpu":
        by_expert(product, align, out)
    else:
        by_block(product, align, out)


def by_expert(product: "Product", align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """One product for each expert that any row goes to. Looks at the alignment's values: for CPU tensors."""
    sorted_ids, expert_ids, num_post = align
    block_m = sorted_ids.numel() // expert_ids.numel()
    blocks_of: dict[int, list[int]] = defaultdict(list)
    for block, expert in enumerate(expert_ids[: -(-int(num_post) // block_m)].tolist()):
        if expert >= 0:
            blocks_of[expert].append(block)
    by_place = sorted_ids.view(-1, block_m)
    for expert, blocks in blocks_of.items():
        ids = by_place[blocks[0] : blocks[-1] + 1] if _are_neighbours(blocks) else by_place[blocks]
        ids = ids[ids < out.shape[0]].long()
        weight = _weight(product, product.w[expert], expert)
        out[ids] = _results(product, ids, product.a[ids // product.top_k] @ weight.T)


def by_block(product: "Product", align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """One product for each block of the static cap, its expert picked on the device: nothing waits for a value.

    Scratch is one expert's weight. Rows of padding and of absent experts go to one spare row that is dropped.
    """
    sorted_ids, expert_ids, num_post = align
    rows, block_m = out.shape[0], sorted_ids.numel() // expert_ids.numel()
    spare = torch.cat((out, out.new_empty((1, out.shape[1]))))
    places = torch.arange(sorted_ids.numel(), device=out.device)
    dead = (places >= num_post) | (expert_ids < 0).repeat_interleave(block_m, output_size=sorted_ids.numel())
    targets = torch.where(dead, rows, sorted_ids.long()).clamp_(0, rows).view(-1, block_m)
    experts = expert_ids.clamp(0, product.w.shape[0] - 1)
    for block, ids in enumerate(targets.unbind()):
        expert = experts[block : block + 1]
        weight = _weight(product, product.w.index_select(0, expert)[0], expert)
        source = ids.clamp(max=rows - 1)
        spare[ids] = _results(product, source, product.a[source // product.top_k] @ weight.T)
    out.copy_(spare[:rows])


def _weight(product: "Product", stored: torch.Tensor, expert: "int | torch.Tensor") -> torch.Tensor:
    if product.scale is None:
        return stored
    scale, zp = _one(product.scale, expert), None if product.zp is None else _one(product.zp, expert)
    return restore(stored, scale, zp, k=product.a.shape[1], dtype=product.a.dtype)


def _one(tensor: torch.Tensor, expert: "int | torch.Tensor") -> torch.Tensor:
    return tensor[expert] if isinstance(expert, int) else tensor.index_select(0, expert)[0]


def _results(product: "Product", ids: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    if not product.swiglu and product.mul_weight is None:
        return values
    wide = values.to(torch.float32)
    if product.swiglu:
        gate, up = wide.chunk(2, dim=-1)
        wide = functional.silu(gate) * up
    if product.mul_weight is not None:
        wide = wide * product.mul_weight[ids].unsqueeze(-1)
    return wide.to(values.dtype)


def _are_neighbours(blocks: list[int]) -> bool:
    return blocks[-1] - blocks[0] + 1 == len(blocks)
