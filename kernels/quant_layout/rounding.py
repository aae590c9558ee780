"""From float weights to integers with one scale a group: round to nearest, nothing is trained."""

from typing import Final

import torch

from headrace.kernels.quant_layout.nibbles import pack_int4

SMALLEST_SCALE: Final = 1e-10


def round_groups(
    weight: torch.Tensor, *, bits: int, group: int | None = None, symmetric: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return (w, scale f32 [..., N, K / group], zp or None) of `weight` [..., N, K], in the layout of this package.

    group: neighbours along K that share a scale; None is the whole of K. symmetric: the largest magnitude of a group
    lands on -8 or 7 (int4) or 127 (int8) and there are no zero points; else the range of a group, zero included, is
    spread over all codes. Halves go to even. Raises ValueError for other bits, a group that does not divide K, an odd
    K for int4, and weights that are not finite.
    """
    if bits not in {4, 8}:
        raise ValueError(f"bits={bits}; wanted 4 or 8")
    k = weight.shape[-1]
    size = k if group is None else group
    if size <= 0 or k % size:
        raise ValueError(f"group={group} does not divide K={k}")
    grouped = weight.to(torch.float32).view(*weight.shape[:-1], k // size, size)
    if not bool(torch.isfinite(grouped).all()):
        raise ValueError("weight has values that are not finite; nothing can be rounded to them")
    codes, scale, zp = _symmetric(grouped, bits) if symmetric else _spread(grouped, bits)
    codes = codes.view(weight.shape)
    if bits == 4:  # noqa: PLR2004  (bits)
        return pack_int4(codes), scale, zp
    return codes.to(torch.int8 if symmetric else torch.uint8), scale, zp


def _symmetric(grouped: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, None]:
    """int4 uses -8 too: the scale's sign is that of the largest magnitude, turned, which then lands on -8."""
    top = 1 << (bits - 1)
    at = grouped.abs().argmax(-1, keepdim=True)
    if bits == 4:  # noqa: PLR2004  (bits)
        scale = grouped.gather(-1, at) / -top
        scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
        codes = (grouped / scale).round().clamp(-top, top - 1) + top
    else:
        scale = (grouped.gather(-1, at).abs() / (top - 1)).clamp_min(SMALLEST_SCALE)
        codes = (grouped / scale).round().clamp(1 - top, top - 1)
    return codes.to(torch.int16), scale.squeeze(-1), None


def _spread(grouped: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    codes_max = (1 << bits) - 1
    low = grouped.amin(-1, keepdim=True).clamp_max(0.0)
    high = grouped.amax(-1, keepdim=True).clamp_min(0.0)
    scale = ((high - low) / codes_max).clamp_min(SMALLEST_SCALE)
    zp = (-low / scale).round().clamp(0, codes_max)
    codes = ((grouped / scale).round() + zp).clamp(0, codes_max)
    return codes.to(torch.int16), scale.squeeze(-1), zp.squeeze(-1).to(torch.uint8)
