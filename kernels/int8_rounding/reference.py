"""The plainest statement of per-row int8 rounding, in whatever floating type it is given (float64 for tests)."""

from typing import Final

import torch

INT8_LIMIT: Final = 127
SMALLEST_SCALE: Final = 1e-10


def round_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (int8 values, scales) of `weight` [rows, columns]; scales keep its type."""
    scale = (weight.abs().amax(dim=1, keepdim=True) / INT8_LIMIT).clamp_min(SMALLEST_SCALE)
    return (weight / scale).round().clamp(-INT8_LIMIT, INT8_LIMIT).to(torch.int8), scale
