"""Tensors that reach past 2^31 elements without having the memory, to catch 32-bit address arithmetic.

The address space is reserved and only the pages of the values are ever touched. The same space lies before the tensor,
so that an address that wraps reads NaN there instead of ending the process.
"""

import mmap
from typing import Final

import torch

PAST_INT32: Final = 1 << 31
_WRAP: Final = 1 << 32
_MAP_NORESERVE: Final = 0x4000
_ALIGNED: Final = 64


def far(values: torch.Tensor, *, axis: int = 0, stride: int | None = None) -> torch.Tensor:
    """Return a copy of `values` whose last index along `axis` stands at least 2^31 elements from the first.

    stride: of that axis, in elements; by default the least that reaches, which still fits an int32 where the axis has
    more than two places, so that only the product overflows. Where the product would wrap to, NaN (or the type's
    least value) stands.
    """
    axis %= values.dim()
    places = values.shape[axis]
    if places < 2:
        raise ValueError(f"axis {axis} has {places} places; wanted at least 2")
    rest = values.movedim(axis, 0)[0].contiguous()
    least = -(-PAST_INT32 // (places - 1) // _ALIGNED) * _ALIGNED
    step = stride if stride is not None else least
    reach = (places - 1) * step + rest.numel()
    before = min(PAST_INT32, _WRAP) + rest.numel()
    size = values.element_size()
    buffer = torch.frombuffer(_reserve((before + reach) * size), dtype=values.dtype)
    strides = list(rest.stride())
    strides.insert(axis, step)
    for place in range(1, places):
        wrapped = (place * step + PAST_INT32) % _WRAP - PAST_INT32
        if wrapped != place * step:
            buffer[before + wrapped :][: rest.numel()] = _poison(values.dtype)
    made = torch.as_strided(buffer, values.shape, strides, before)
    made.copy_(values)
    return made


def _reserve(count: int) -> mmap.mmap:
    return mmap.mmap(-1, -(-count // mmap.PAGESIZE) * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | _MAP_NORESERVE)


def _poison(dtype: torch.dtype) -> float:
    return float("nan") if dtype.is_floating_point else torch.iinfo(dtype).min
