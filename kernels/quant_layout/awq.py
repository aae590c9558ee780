"""Weights as AWQ checkpoints store them: four bits, packed along N, fields of a word out of order.

qweight int32 [..., K, N / 8]: field i of word c is column 8 c + ORDER[i]. qzeros int32 [..., groups, N / 8] alike, the
zero points themselves. scales [..., groups, N].
"""

from typing import Final

import torch

from headrace.kernels.quant_layout.nibbles import PER_WORD, check_words, pack_int4, split_words

ORDER: Final = (0, 2, 4, 6, 1, 3, 5, 7)


def from_awq(
    qweight: torch.Tensor, qzeros: torch.Tensor, scales: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (w uint8 [..., N, K / 2], scale [..., N, groups], zp uint8 alike). A leading axis of experts is kept.

    Raises TypeError where words are not int32 and ValueError for shapes that do not fit.
    """
    check_words("qweight", qweight)
    check_words("qzeros", qzeros)
    k, n, groups = qweight.shape[-2], qweight.shape[-1] * PER_WORD, scales.shape[-2]
    if scales.shape[-1] != n or groups == 0 or k % groups:
        raise ValueError(f"scales have shape {tuple(scales.shape)}; wanted [..., groups that divide {k}, {n}]")
    if qzeros.shape[-2:] != (groups, qweight.shape[-1]):
        raise ValueError(f"qzeros have shape {tuple(qzeros.shape)}; wanted [..., {groups}, {qweight.shape[-1]}]")
    values = split_words(qweight, ORDER).transpose(-1, -2)
    zp = split_words(qzeros, ORDER).transpose(-1, -2).contiguous()
    return pack_int4(values), scales.transpose(-1, -2).contiguous(), zp
