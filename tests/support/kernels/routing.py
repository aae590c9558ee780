"""Experts' inputs for tests: random routings and weights, and the alignment, written plainly from its contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

import torch

from headrace.kernels.quant_layout import round_groups
from tests.support.kernels.canaries import Guarded, guarded

Align = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
_NEW_EMPTY: Final = torch.Tensor.new_empty


def align(ids: torch.Tensor, experts: int, block_m: int, *, spare_blocks: int = 0) -> Align:
    """Return (sorted_ids, expert_ids, num_post): each expert's rows in order, filled up to whole blocks.

    spare_blocks: how many blocks stand unused behind, as a static cap leaves them.
    """
    flat = ids.flatten().tolist()
    sorted_ids: list[int] = []
    expert_ids: list[int] = []
    for expert in range(experts):
        mine = [at for at, one in enumerate(flat) if one == expert]
        mine += [len(flat)] * (-len(mine) % block_m)
        sorted_ids += mine
        expert_ids += [expert] * (len(mine) // block_m)
    num_post = len(sorted_ids)
    sorted_ids += [len(flat)] * (spare_blocks * block_m)
    expert_ids += [-1] * spare_blocks
    as_i32 = {"dtype": torch.int32}
    return torch.tensor(sorted_ids, **as_i32), torch.tensor(expert_ids, **as_i32), torch.tensor([num_post], **as_i32)


def route(tokens: int, top_k: int, experts: int, *, seed: int = 0, dropped: float = 0.0) -> torch.Tensor:
    """Return ids i32 [tokens, top_k], no expert twice in a row, a share of them -1."""
    chance = torch.Generator().manual_seed(seed)
    ids = torch.rand(tokens, experts, generator=chance).argsort(1)[:, :top_k]
    away = torch.rand(ids.shape, generator=chance) < dropped
    return ids.masked_fill(away, -1).to(torch.int32).contiguous()


@dataclass(frozen=True, slots=True)
class Experts:
    """One stack of expert matrices as `moe_gemm` takes it."""

    w: torch.Tensor
    scale: torch.Tensor | None
    zp: torch.Tensor | None


def experts_of(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    *,
    bits: int = 16,
    group: int | None = None,
    symmetric: bool = True,
    seed: int = 1,
) -> Experts:
    """Return random matrices [E, N, K]: floats of `dtype` for 16 bits, else rounded, with scales in `dtype`."""
    weight = randn(shape, torch.float32, seed=seed) / shape[2] ** 0.5
    if bits == 16:
        return Experts(weight.to(dtype), None, None)
    w, scale, zp = round_groups(weight, bits=bits, group=group, symmetric=symmetric)
    return Experts(w, scale.to(dtype), zp)


def randn(shape: tuple[int, ...], dtype: torch.dtype, *, seed: int = 0) -> torch.Tensor:
    """Return normal values that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@contextmanager
def outputs_guarded() -> Iterator[list[Guarded]]:
    """Guard what `new_empty` and `new_zeros` of two axes give meanwhile, NaN or zeros, and check all at the end.

    Narrower than `allocations_guarded`: the interpreter makes an empty tensor an argument and then points it elsewhere.
    """
    made: list[Guarded] = []

    def allocate(like: torch.Tensor, shape: Any, fill: float, **how: Any) -> torch.Tensor:
        if not isinstance(shape, tuple) or len(shape) != 2 or 0 in shape or how:
            return _NEW_EMPTY(like, shape, **how).fill_(fill)
        made.append(guarded(shape, like.dtype, fill))
        return made[-1].tensor

    def empty(like: torch.Tensor, shape: Any, **how: Any) -> torch.Tensor:
        return (
            allocate(like, shape, float("nan"), **how) if isinstance(shape, tuple) else _NEW_EMPTY(like, shape, **how)
        )

    def zeros(like: torch.Tensor, shape: Any, **how: Any) -> torch.Tensor:
        return allocate(like, shape, 0.0, **how)

    with patch.object(torch.Tensor, "new_empty", empty), patch.object(torch.Tensor, "new_zeros", zeros):
        yield made
    for one in made:
        one.check()
