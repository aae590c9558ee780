"""The grouped expert GEMM in torch: by expert where values may be looked at, by block where the device must not wait.

Accumulation is torch's own (float32 inside one product); gate, up and the row factor are combined in float32.
"""

from collections import defaultdict

import torch
from torch.nn import functional

from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.quant_layout import INT4_BITS, INT4_MIDDLE, restore
from headrace.kernels.quant_layout.nibbles import LARGEST


def multiply(product: Product, align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """Write the rows of `out` that `align` names."""
    if out.device.type == "cpu":
        by_expert(product, align, out)
    else:
        by_block(product, align, out)


def by_expert(product: Product, align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """One product for each expert that any row goes to. Looks at the alignment's values: for CPU tensors."""
    sorted_ids, expert_ids, num_post = align
    block_m = sorted_ids.numel() // expert_ids.numel()
    blocks_of: dict[int, list[int]] = defaultdict(list)
    for block, expert in enumerate(expert_ids[: -(-int(num_post) // block_m)].tolist()):
        if expert >= 0:
            blocks_of[expert].append(block)
    by_place = sorted_ids.view(-1, block_m)
    split_scale = product.scale if _splits(product) else None
    a = product.a if split_scale is None else split_columns(product.a)
    for expert, blocks in blocks_of.items():
        ids = by_place[blocks[0] : blocks[-1] + 1] if _are_neighbours(blocks) else by_place[blocks]
        ids = ids[ids < out.shape[0]].long()
        if split_scale is None:
            weight = _weight(product, product.w[expert], expert)
        else:
            zp = None if product.zp is None else product.zp[expert]
            weight = split_weight(product.w[expert], split_scale[expert], zp, dtype=a.dtype)
        out[ids] = _results(product, ids, a[ids // product.top_k] @ weight.T)


def by_block(product: Product, align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
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


def split_columns(a: torch.Tensor) -> torch.Tensor:
    """Return the even columns of `a`, then the odd ones."""
    return torch.cat((a[:, 0::2], a[:, 1::2]), dim=1)


def split_weight(
    packed: torch.Tensor, scale: torch.Tensor, zp: torch.Tensor | None, *, dtype: torch.dtype
) -> torch.Tensor:
    """Return int4 `packed` [N, K / 2] as [N, K], even columns first: half the time without interleaving."""
    n, k, groups = packed.shape[0], 2 * packed.shape[1], scale.shape[1]
    both = torch.empty((n, 2, k // 2), dtype=torch.uint8, device=packed.device)
    torch.bitwise_and(packed, LARGEST, out=both[:, 0])
    torch.bitwise_right_shift(packed, 4, out=both[:, 1])
    codes = both.view(torch.int8).view(n, 2, groups, k // groups // 2)
    codes -= INT4_MIDDLE if zp is None else zp.to(torch.int8).view(n, 1, groups, 1)
    values = codes.to(dtype)
    values *= scale.to(dtype).view(n, 1, groups, 1)
    return values.view(n, k)


def _splits(product: Product) -> bool:
    """Tell whether every group has as many even columns as odd, so that halves share its scale."""
    if product.scale is None or product.bits != INT4_BITS:
        return False
    return product.a.shape[1] // product.scale.shape[2] % 2 == 0


def _weight(product: Product, stored: torch.Tensor, expert: "int | torch.Tensor") -> torch.Tensor:
    if product.scale is None:
        return stored
    scale, zp = _one(product.scale, expert), None if product.zp is None else _one(product.zp, expert)
    return restore(stored, scale, zp, k=product.a.shape[1], dtype=product.a.dtype)


def _one(tensor: torch.Tensor, expert: "int | torch.Tensor") -> torch.Tensor:
    return tensor[expert] if isinstance(expert, int) else tensor.index_select(0, expert)[0]


def _results(product: Product, ids: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
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
