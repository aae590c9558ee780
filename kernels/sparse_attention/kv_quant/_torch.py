"""`write_int8_kv` in torch, all tokens at once."""

import torch

from headrace.kernels.int8_rounding.reference import INT8_LIMIT, SMALLEST_SCALE


def write(rows: torch.Tensor, cache: torch.Tensor, scales: torch.Tensor, slots: torch.Tensor) -> None:
    """Write rows [T, Hkv, D] as int8 to the slots [T] of cache [P, page, Hkv, D] and scales [P, page, Hkv]."""
    wide = rows.to(torch.float32)
    scale = (wide.abs().amax(2) / INT8_LIMIT).clamp_min(SMALLEST_SCALE)  # [T, Hkv]
    is_finite = torch.isfinite(wide).all(2)
    rounded = torch.where(is_finite[..., None], wide / scale[..., None], 0.0).round().to(torch.int8)
    scale = torch.where(is_finite, scale, float("nan"))
    page = cache.shape[1]
    is_kept = (slots >= 0) & (slots < cache.shape[0] * page)
    # dropping would make the host wait for a device: what is left out goes, as it, where the first that stays goes
    first = is_kept.to(torch.int32).argmax()
    chosen = torch.where(is_kept, torch.arange(len(slots), device=slots.device), first)
    slots, has_any = slots[chosen].clamp(0, cache.shape[0] * page - 1), is_kept[first]
    at = slots // page, slots % page
    cache[at] = torch.where(has_any, rounded[chosen], cache[at])
    scales[at] = torch.where(has_any, scale[chosen], scales[at])
