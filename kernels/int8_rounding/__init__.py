"""Round a weight matrix to int8 with one scale a row, and the way back. Works on any device; nothing is trained.

The public op checks its argument and works in row blocks, so that its scratch memory is bounded however large the
matrix is. `reference.py` says the same in the plainest form and in any floating type.
"""

from typing import Final

import torch

from headrace.kernels.int8_rounding.reference import INT8_LIMIT, SMALLEST_SCALE

__all__ = ["INT8_LIMIT", "SMALLEST_SCALE", "restore", "round_rows"]

_BLOCK_ELEMENTS: Final = 1 << 22


def round_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round `weight` [rows, columns] to int8 [rows, columns] and float32 scales [rows, 1].

    Symmetric: the largest magnitude of a row lands on 127, halves go to even, a row of zeros gets the smallest scale.
    Raises TypeError for a tensor that is not floating and ValueError for one that is no matrix or is not finite.
    """
    if not weight.is_floating_point():
        raise TypeError(f"weight has dtype {weight.dtype}; round_rows needs a floating one")
    if weight.dim() != 2:  # noqa: PLR2004  (a matrix)
        raise ValueError(f"weight has shape {tuple(weight.shape)}; round_rows needs two axes")
    rows, columns = weight.shape
    rounded = torch.empty((rows, columns), dtype=torch.int8, device=weight.device)
    scales = torch.empty((rows, 1), dtype=torch.float32, device=weight.device)
    step = max(1, _BLOCK_ELEMENTS // max(1, columns))
    for first in range(0, rows, step):
        block = weight[first : first + step].to(torch.float32)
        scale = block.abs().amax(dim=1, keepdim=True) if columns else block.new_zeros((block.shape[0], 1))
        if not bool(torch.isfinite(scale).all()):
            raise ValueError(f"weight rows {first}..{first + block.shape[0] - 1} are not finite")
        scale = (scale / INT8_LIMIT).clamp_min(SMALLEST_SCALE)
        rounded[first : first + step] = (block / scale).round_().clamp_(-INT8_LIMIT, INT8_LIMIT).to(torch.int8)
        scales[first : first + step] = scale
    return rounded, scales


def restore(rounded: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the matrix that `rounded` [rows, columns] and `scales` [rows, 1] stand for."""
    if rounded.dtype != torch.int8 or scales.shape != (rounded.shape[0], 1):
        raise ValueError(f"int8 rows with scales [rows, 1] wanted, not {rounded.dtype} and {tuple(scales.shape)}")
    return (rounded.to(torch.float32) * scales.to(torch.float32)).to(dtype)
