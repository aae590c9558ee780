"""Merge attention over disjoint sets of keys into attention over their union, by the log-sum-exp of each.

`sparse_decode` ends with it where it splits; anything that computed a prefix and a suffix apart may call it.
"""

from typing import Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.checking import check_devices, check_dtype, check_last_contiguous, check_shape
from headrace.kernels.sparse_attention.merge import _torch

__all__ = ["MOST_HEAD_DIM", "MOST_PARTS", "merge_parts", "unsupported_reason"]

_OP: Final = "merge_parts"
MOST_PARTS: Final = 64
MOST_HEAD_DIM: Final = 256
_FLOATING: Final = (torch.float32, torch.float16, torch.bfloat16)


def merge_parts(
    o: torch.Tensor, lse: torch.Tensor, *, dtype: torch.dtype | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o [N, D] of `dtype`, by default that of the parts; lse [N] float32) of o [N, S, D] and lse [N, S].

    lse: natural log; -inf is a part without keys, whose o is not looked at. A row without any part that has keys gets
    o = 0 and lse = -inf; a NaN in a row's lse makes that row NaN. Raises ValueError and TypeError naming what does not
    fit.
    """
    check_shape("o", o, "N", "S", "D")
    check_shape("lse", lse, o.shape[0], o.shape[1])
    check_dtype("o", o, *_FLOATING, torch.float64)
    check_dtype("lse", lse, torch.float32)
    check_devices(o=o, lse=lse)
    check_last_contiguous(o=o)
    merged: tuple[torch.Tensor, torch.Tensor] = _merge_parts(o, lse, o.dtype if dtype is None else dtype)
    return merged


def unsupported_reason(o: torch.Tensor) -> str | None:
    """Return why the kernel cannot take these parts, in a word that lasts, or None where it can."""
    if o.dtype not in _FLOATING:
        return "dtype"
    if o.shape[2] > MOST_HEAD_DIM:
        return "head-dim"
    return "parts" if o.shape[1] > MOST_PARTS else None


@torch.library.custom_op("headrace::merge_parts", mutates_args=())
def _merge_parts(o: torch.Tensor, lse: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    if not dispatch.uses_triton(_OP, o.device, unsupported_reason(o)):
        return _torch.merge_parts(o, lse, dtype)
    from headrace.kernels.sparse_attention.merge import _kernel  # noqa: PLC0415  (triton only where it runs)

    out, out_lse = _like(o, lse, dtype)
    if out.numel() and o.shape[1]:
        _kernel.launch(o, lse, out, out_lse, tile=tuned.choose(_OP, tuned.arch(o.device)))
        return out, out_lse
    return out.zero_(), out_lse.fill_(float("-inf"))


@_merge_parts.register_fake
def _like(o: torch.Tensor, lse: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return o.new_empty((o.shape[0], o.shape[2]), dtype=dtype), lse.new_empty((lse.shape[0],))
