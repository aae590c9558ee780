"""Weights as GPTQ checkpoints store them: packed along K, zero points packed along N.

qweight int32 [..., K / per, N], per = 32 / bits: field i of word r is row r * per + i. qzeros int32
[..., groups, N / per] alike along N; the first format stores a zero point less one, `gptq_v2` the zero point.
scales [..., groups, N]. g_idx [..., K] names the group of each row of K.
"""

import torch

from headrace.kernels.quant_layout.nibbles import check_words, pack_int4, split_words


def from_gptq(
    qweight: torch.Tensor,
    qzeros: torch.Tensor | None,
    scales: torch.Tensor,
    g_idx: torch.Tensor | None = None,
    *,
    bits: int = 4,
    zeros_less_one: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (w, scale [..., N, groups], zp uint8 alike): w uint8 [..., N, K / 2] for 4 bits, [..., N, K] for 8.

    qzeros None: symmetric, every zero point in the middle. A leading axis of experts is kept.
    Raises ValueError for other bits, shapes that do not fit, and for activation order (a g_idx that is not k // group):
    such a checkpoint must be written again without it.
    """
    if bits not in {4, 8}:
        raise ValueError(f"bits={bits}; wanted 4 or 8")
    check_words("qweight", qweight)
    per = 32 // bits
    k, n, groups = qweight.shape[-2] * per, qweight.shape[-1], scales.shape[-2]
    if scales.shape[-1] != n or groups == 0 or k % groups:
        raise ValueError(f"scales have shape {tuple(scales.shape)}; wanted [..., groups that divide {k}, {n}]")
    _check_order(g_idx, k, groups)
    order = range(per)
    values = split_words(qweight.transpose(-1, -2), order, bits)
    scale = scales.transpose(-1, -2).contiguous()
    if qzeros is None:
        zp = torch.full(scale.shape, 1 << (bits - 1), dtype=torch.uint8, device=scale.device)
    else:
        check_words("qzeros", qzeros)
        if qzeros.shape[-1] * per != n or qzeros.shape[-2] != groups:
            raise ValueError(f"qzeros have shape {tuple(qzeros.shape)}; wanted [..., {groups}, {n} / {per}]")
        zp = split_words(qzeros, order, bits).transpose(-1, -2).contiguous()
        if zeros_less_one:
            zp = _plus_one(zp, bits)
    return (pack_int4(values) if bits == 4 else values.contiguous()), scale, zp  # noqa: PLR2004  (bits)


def _plus_one(zp: torch.Tensor, bits: int) -> torch.Tensor:
    if bits == 8 and bool((zp == 255).any()):  # noqa: PLR2004  (eight bits)
        raise ValueError("qzeros hold 255, which stands for the zero point 256; it does not fit eight bits")
    return zp + 1


def _check_order(g_idx: torch.Tensor | None, k: int, groups: int) -> None:
    if g_idx is None or g_idx.numel() == 0:
        return
    if g_idx.shape[-1] != k:
        raise ValueError(f"g_idx has {g_idx.shape[-1]} entries; wanted one for each of {k} rows")
    wanted = torch.arange(k, device=g_idx.device, dtype=g_idx.dtype) // (k // groups)
    if not bool((g_idx == wanted).all()):
        raise ValueError(
            f"g_idx is not k // {k // groups}: rows are in activation order, which no kernel reads; "
            "quantise without desc_act"
        )
