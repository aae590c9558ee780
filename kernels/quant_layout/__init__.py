"""How integer expert weights lie in memory, and the ways there: from floats, GPTQ and AWQ.

int4: uint8 [..., N, K / 2], the low nibble is the even index of K. int8: int8 [..., N, K], or uint8 with zero points.
scales: floating [..., N, K / group]; zero points: uint8 of the same shape. A weight is (value - zero) * scale; without
zero points the zero is 8 for int4 and 0 for int8. One group may span the whole of K.
"""

from dataclasses import dataclass
from typing import Final

import torch

from headrace.kernels.quant_layout.awq import from_awq
from headrace.kernels.quant_layout.gptq import from_gptq
from headrace.kernels.quant_layout.nibbles import pack_int4, unpack_int4
from headrace.kernels.quant_layout.rounding import round_groups

__all__ = [
    "BYTE_BITS",
    "INT4_BITS",
    "INT4_MIDDLE",
    "ExpertQuant",
    "from_awq",
    "from_gptq",
    "pack_int4",
    "restore",
    "round_groups",
    "unpack_int4",
    "weight_bits",
]

INT4_BITS: Final = 4
BYTE_BITS: Final = 8
INT4_MIDDLE: Final = 8


@dataclass(frozen=True, slots=True)
class ExpertQuant:
    """What belongs to the integer weights of a layer's experts: scales [E, N, K / group], zero points alike or None."""

    w13_scale: torch.Tensor
    w2_scale: torch.Tensor
    w13_zp: torch.Tensor | None = None
    w2_zp: torch.Tensor | None = None


def weight_bits(w: torch.Tensor, k: int, name: str = "w") -> int:
    """Return 4, 8 or the width of a float: what a weight of `w` [..., N, K or K / 2] takes, by its type and last axis.

    Raises ValueError where the last axis fits neither.
    """
    stored = w.shape[-1]
    if w.dtype == torch.uint8 and 2 * stored == k:
        return INT4_BITS
    if stored == k:
        return BYTE_BITS if w.dtype in {torch.int8, torch.uint8} else 8 * w.element_size()
    halved = f" or {k // 2} (two int4 a byte)" if w.dtype == torch.uint8 and k % 2 == 0 else ""
    raise ValueError(f"{name} has {stored} values a row and dtype {w.dtype}; wanted {k}{halved}")


def restore(
    w: torch.Tensor, scale: torch.Tensor | None, zp: torch.Tensor | None, *, k: int, dtype: torch.dtype
) -> torch.Tensor:
    """Return the weight [..., N, K] that stored values stand for, in `dtype`; a float weight is only converted."""
    bits = weight_bits(w, k)
    if scale is None:
        return w.to(dtype)
    groups = scale.shape[-1]
    values = (unpack_int4(w) if bits == INT4_BITS else w).to(dtype)  # a copy, so that the rest may go in place
    values = values.view(*w.shape[:-1], groups, k // groups)
    if zp is not None:
        values -= zp.to(dtype).unsqueeze(-1)
    elif bits == INT4_BITS:
        values -= INT4_MIDDLE
    values *= scale.to(dtype).unsqueeze(-1)
    return values.view(*w.shape[:-1], k)
