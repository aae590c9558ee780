"""What is known of each page of keys without reading them: their mean, or their minimum and maximum a dimension.

`new_page_stats` makes room, `update_page_stats` follows each write to the cache; `select_blocks` and `select_pages`
read. A page has one entry whatever sequence it belongs to, so that prefixes are shared with their entries.
"""

from typing import Final, Literal, get_args

import torch

from headrace.kernels.checking import (
    check_choice,
    check_devices,
    check_dtype,
    check_last_contiguous,
    check_range,
    check_shape,
    values_are_checked,
)
from headrace.kernels.dispatch import uses_triton
from headrace.kernels.sparse_attention.page_stats import _torch

__all__ = ["Method", "new_page_stats", "update_page_stats"]

Method = Literal["mean", "minmax"]

OP: Final = "update_page_stats"
MOST_OF_KEYS: Final = 16  # statistics take at most this part of the keys' bytes
_FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16)
_MAX_HEAD_DIM: Final = 256


def new_page_stats(k_cache: torch.Tensor, *, method: Method = "mean", dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return room for the statistics of `k_cache` [P, page, Hkv, D], zeros, as `update_page_stats` fills it.

    dtype: of the statistics, float; None means the keys' own, which an int8 cache cannot have. Raises TypeError, and
    ValueError where pages are so short that reading the statistics would cost over 1/16 of the keys.
    """
    check_choice("method", method, get_args(Method))
    check_shape("k_cache", k_cache, "P", "page", "Hkv", "D")
    pages, page_size, kv_heads, size = k_cache.shape
    made = k_cache.new_empty(0, dtype=dtype)
    check_dtype("dtype of the statistics", made, *_FLOATS)
    parts = (2 if method == "minmax" else 1) * made.element_size()
    least = MOST_OF_KEYS * parts // k_cache.element_size()
    if page_size < least:
        raise ValueError(
            f"method={method!r} over pages of {page_size} tokens takes {parts}/{page_size * k_cache.element_size()} of "
            f"the keys' bytes; wanted at most 1/{MOST_OF_KEYS}: pages of {least} or more"
        )
    return made.new_zeros((pages, 2, kv_heads, size) if method == "minmax" else (pages, kv_heads, size))


def update_page_stats(
    k_cache: torch.Tensor,
    slots: torch.Tensor,
    kmeta: torch.Tensor,
    *,
    method: Method = "mean",
    k_scale: torch.Tensor | None = None,
) -> None:
    """Bring `kmeta` up to date after keys were written to `slots` of the cache; other pages keep their entries.

    k_cache: [P, page, Hkv, D], keys written; k_scale: float32 [P, page, Hkv] where it is int8, each row times its own.
    slots: int32 or int64 [N], page * page size + offset of each key written, negative for padding; those of a page
    stand together and ascend. kmeta: [P, Hkv, D] means, or with minmax [P, 2, Hkv, D] minima and maxima, written in
    place.
    An entry covers its page from the first token to the last of `slots` in it: what lies behind is taken for another
    owner's, or for tokens taken back. A NaN key makes its dimension NaN. Raises ValueError and TypeError.
    """
    check_choice("method", method, get_args(Method))
    check_shape("k_cache", k_cache, "P", "page", "Hkv", "D")
    pages, page_size, kv_heads, size = k_cache.shape
    check_shape("kmeta", kmeta, *((pages, 2, kv_heads, size) if method == "minmax" else (pages, kv_heads, size)))
    check_shape("slots", slots, "N")
    if k_scale is None:
        check_dtype("k_cache without k_scale", k_cache, *_FLOATS)
    else:
        check_dtype("k_cache with k_scale", k_cache, torch.int8)
        check_shape("k_scale", k_scale, pages, page_size, kv_heads)
        check_dtype("k_scale", k_scale, torch.float32)
    check_dtype("kmeta", kmeta, *_FLOATS)
    check_dtype("slots", slots, torch.int32, torch.int64)
    check_devices(k_cache=k_cache, slots=slots, kmeta=kmeta, k_scale=k_scale)
    check_last_contiguous(k_cache=k_cache, kmeta=kmeta, slots=slots)
    if values_are_checked(slots):
        _check_slots(slots, pages, page_size)
    _update_page_stats(k_cache, slots, kmeta, k_scale, is_minmax=method == "minmax")


def _check_slots(slots: torch.Tensor, pages: int, page_size: int) -> None:
    check_range("slots", slots.clamp(min=-1), -1, pages * page_size - 1)
    owner = torch.where(slots < 0, -1, slots.div(max(1, page_size), rounding_mode="floor"))
    same = owner[1:] == owner[:-1]
    runs = owner[torch.cat([owner.new_ones(1, dtype=torch.bool), ~same])] if len(owner) else owner
    runs = runs[runs >= 0]
    if len(runs) != torch.unique(runs).numel():
        raise ValueError(f"slots return to page {int(runs.mode().values)}; wanted the slots of a page together")
    falls = same & (owner[1:] >= 0) & (slots[1:] <= slots[:-1])
    if bool(falls.any()):
        at = int(falls.int().argmax())
        raise ValueError(f"slots go from {int(slots[at])} to {int(slots[at + 1])} in a page; wanted them to ascend")


@torch.library.custom_op("headrace::update_page_stats", mutates_args=("kmeta",))
def _update_page_stats(
    k_cache: torch.Tensor, slots: torch.Tensor, kmeta: torch.Tensor, k_scale: torch.Tensor | None, *, is_minmax: bool
) -> None:
    reason = "head-dim" if k_cache.shape[-1] > _MAX_HEAD_DIM else None
    is_kernel = uses_triton(OP, k_cache.device, reason)
    if not slots.numel() or not kmeta.numel():
        return
    if is_kernel:
        from headrace.kernels.sparse_attention.page_stats import _launch  # noqa: PLC0415  (triton where it serves)

        _launch.update(k_cache, slots, kmeta, k_scale, is_minmax=is_minmax)
    else:
        _torch.update(k_cache, slots, kmeta, k_scale, is_minmax=is_minmax)


@_update_page_stats.register_fake
def _(*_: torch.Tensor | None, is_minmax: bool) -> None:
    del is_minmax
