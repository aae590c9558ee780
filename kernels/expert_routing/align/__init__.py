"""Which rows each block of the expert matrices works on: the ids of a gate, sorted by expert and padded to blocks.

`reference.py` states it as loops; README.md says how large the lists are and how the kernels split the work.
"""

from typing import Final

import torch

from headrace.kernels import dispatch
from headrace.kernels.checking import check_dtype, check_range, check_shape
from headrace.kernels.expert_routing.align import _torch

__all__ = ["MAX_EXPERTS", "max_blocks", "moe_align", "unsupported_reason"]

MAX_EXPERTS: Final = 1024
_MOST_SLOTS: Final = 2**31 - 1


def moe_align(ids: torch.Tensor, num_experts: int, block_m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return int32 (sorted_ids, expert_ids, num_post) of `ids` [T, k], int32 or int64.

    sorted_ids [blocks * block_m]: the flat places 0..T*k-1 of the ids, by expert and ascending within it, each expert
    filled up to a multiple of block_m with the pad value T*k. expert_ids [blocks]: the expert of each block of block_m
    rows, -1 for a block in no use. num_post [1]: how many rows are in use. `blocks` is `max_blocks`, from the shapes
    alone. An id of -1 stands for an expert that is elsewhere: its place appears nowhere.
    Raises ValueError and TypeError for what does not fit.
    """
    check_shape("ids", ids, "T", "k")
    check_dtype("ids", ids, torch.int32, torch.int64)
    if num_experts < 1:
        raise ValueError(f"num_experts={num_experts}; wanted at least 1")
    if block_m < 1:
        raise ValueError(f"block_m={block_m}; wanted at least 1")
    slots = max_blocks(ids.shape[0] * ids.shape[1], num_experts, block_m) * block_m
    if slots > _MOST_SLOTS:
        raise ValueError(
            f"ids of shape {tuple(ids.shape)} over {num_experts} experts in blocks of {block_m} take {slots} rows;"
            f" wanted at most {_MOST_SLOTS}: split the tokens"
        )
    check_range("ids", ids, -1, num_experts - 1)
    lists: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = _moe_align(ids, num_experts, block_m)
    return lists


def max_blocks(places: int, num_experts: int, block_m: int) -> int:
    """Return how many blocks `places` ids can take at most; 1 for none, so that the lists still tell block_m."""
    used: int = torch.sym_min(places, num_experts)  # type: ignore[no-untyped-call]
    most: int = torch.sym_max(1, (places + used * (block_m - 1)) // block_m)  # type: ignore[no-untyped-call]
    return most


def unsupported_reason(num_experts: int) -> str | None:
    """Return why the kernels cannot take this many experts, in a word that lasts, or None where they can."""
    return "experts" if num_experts > MAX_EXPERTS else None


@torch.library.custom_op("headrace::moe_align", mutates_args=())
def _moe_align(ids: torch.Tensor, num_experts: int, block_m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    blocks = max_blocks(ids.numel(), num_experts, block_m)
    if not dispatch.uses_triton("moe_align", ids.device, unsupported_reason(num_experts)):
        return _torch.align(ids, num_experts, block_m, blocks)
    from headrace.kernels.expert_routing.align import _kernel  # noqa: PLC0415  (triton only where it runs)

    return _kernel.align(ids, num_experts, block_m, blocks)


@_moe_align.register_fake
def _(ids: torch.Tensor, num_experts: int, block_m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    blocks = max_blocks(ids.numel(), num_experts, block_m)
    sizes = (blocks * block_m, blocks, 1)
    one, two, three = (ids.new_empty((size,), dtype=torch.int32) for size in sizes)
    return one, two, three
