"""The plainest statement of rounding one key or value to int8, in whatever floating type it is given."""

import math

import torch

from headrace.kernels.int8_rounding.reference import INT8_LIMIT, SMALLEST_SCALE


def round_row(row: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return (int8 [D], scale) of a row [D]; one that is not finite gives zeros and a NaN, so that it stays seen."""
    if not bool(torch.isfinite(row).all()):
        return torch.zeros_like(row, dtype=torch.int8), math.nan
    scale = max(float(row.abs().max()) / INT8_LIMIT, SMALLEST_SCALE)
    return (row / scale).round().to(torch.int8), scale


def write_int8_kv(  # noqa: PLR0917  (as attention is called everywhere)
    k: torch.Tensor,
    v: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    slots: torch.Tensor,
) -> None:
    """Write each token [Hkv, D] of k and v to its slot, one row after the other."""
    for token, slot in enumerate(slots.tolist()):
        page, row = divmod(slot, k_cache.shape[1])
        if 0 <= page < k_cache.shape[0]:
            for head in range(k.shape[1]):
                k_cache[page, row, head], k_scale[page, row, head] = round_row(k[token, head])
                v_cache[page, row, head], v_scale[page, row, head] = round_row(v[token, head])
