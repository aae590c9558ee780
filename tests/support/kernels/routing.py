"""Experts' inputs for tests: random routings and weights, and the alignment, written plainly from its contract."""

from dataclasses import dataclass

import torch

from headrace.kernels.quant_layout import round_groups

Align = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


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
