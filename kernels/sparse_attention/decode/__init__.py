"""Attention of one query a request over chosen pages of a paged cache, split over the keys and merged.

`reference.py` states it in float64; README.md says what is read, how the split is chosen and how odd input comes out.
"""

from typing import Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.checking import check_devices, check_dtype, check_last_contiguous, check_range, check_shape
from headrace.kernels.sparse_attention.decode import _torch
from headrace.kernels.sparse_attention.merge import MOST_PARTS, merge_parts
from headrace.kernels.sparse_attention.prefill import HEAD_DIMS, check_numbers

__all__ = ["MOST_GROUP", "choose_splits", "sparse_decode", "unsupported_reason"]

MOST_GROUP: Final = 64
"""How many query heads may share a KV head: all stand in one tile."""
_WORD: Final = 4
_OP: Final = "sparse_decode"
_HALF: Final = (torch.float16, torch.bfloat16)


def sparse_decode(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    pages: torch.Tensor,
    n_valid: torch.Tensor,
    *,
    num_splits: int | None = None,
    scale: float | None = None,
    softcap: float = 0.0,
    k_scale: torch.Tensor | None = None,
    v_scale: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return o [B, H, D] and lse [B, H] (float32, natural log) of q [B, H, D], one query a request, over listed pages.

    k_cache, v_cache [P, page, Hkv, D]; pages [B, Hkv, n] int32: physical pages, in any order, each full but the last;
    n_valid [B, Hkv] int32: how many tokens the list holds. A page that does not exist is passed over, a list without
    tokens gives o = 0 and lse = -inf. num_splits: into how many parts the keys are cut, from the sizes where None.
    k_scale, v_scale [P, page, Hkv] float32: the cache is int8, each row times its scale. scale: D ** -0.5 by default.
    softcap > 0 bounds scores by cap * tanh(score / cap). Raises ValueError and TypeError for what does not fit.
    """
    check_shape("q", q, "B", "H", "D")
    check_shape("k_cache", k_cache, "P", "page", "Hkv", q.shape[2])
    check_shape("v_cache", v_cache, *k_cache.shape)
    kv_heads = k_cache.shape[2]
    if not kv_heads or q.shape[1] % kv_heads:
        raise ValueError(f"q has {q.shape[1]} heads and k_cache {kv_heads}; wanted a multiple of the cache's")
    check_shape("pages", pages, q.shape[0], kv_heads, "n")
    check_shape("n_valid", n_valid, q.shape[0], kv_heads)
    check_dtype("q", q, *_HALF, torch.float32, torch.float64)
    check_dtype("pages", pages, torch.int32)
    check_dtype("n_valid", n_valid, torch.int32)
    _check_scales(q, k_cache, v_cache, k_scale, v_scale)
    check_devices(q=q, k_cache=k_cache, v_cache=v_cache, pages=pages, n_valid=n_valid, k_scale=k_scale, v_scale=v_scale)
    check_last_contiguous(q=q, k_cache=k_cache, v_cache=v_cache, pages=pages, n_valid=n_valid)
    check_range("n_valid", n_valid, 0, pages.shape[2] * k_cache.shape[1])
    check_numbers(scale, softcap)
    if num_splits is not None and not 1 <= num_splits <= MOST_PARTS:
        raise ValueError(f"num_splits={num_splits}; wanted 1..{MOST_PARTS}, or None")
    scale = q.shape[2] ** -0.5 if scale is None else float(scale)
    attended: tuple[torch.Tensor, torch.Tensor] = _sparse_decode(
        q, k_cache, v_cache, pages, n_valid, k_scale, v_scale, num_splits or 0, scale, float(softcap)
    )
    return attended


def unsupported_reason(q: torch.Tensor, v_cache: torch.Tensor) -> str | None:
    """Return why the kernel cannot take this shape, in a word that lasts, or None where it can."""
    if q.dtype not in _HALF and not (q.dtype == torch.float32 and dispatch.is_interpreted()):
        return "dtype"
    if q.shape[2] not in HEAD_DIMS:
        return "head-dim"
    if q.shape[1] > MOST_GROUP * v_cache.shape[2]:
        return "group"
    # bytes of an int8 cache are read as words
    is_odd = v_cache.dtype == torch.int8 and any(each % _WORD for each in (*v_cache.stride()[:3], v_cache.data_ptr()))
    return "strides" if is_odd else None


def choose_splits(lists: int, most_tokens: int, *, programs: int, least_tokens: int) -> int:
    """Return into how many parts to cut each of `lists` lists of up to `most_tokens`, from sizes known beforehand.

    As many as fill the device with `programs`, but none of fewer than `least_tokens`, so that what the parts write
    and the merge reads stays small beside the keys and values.
    """
    wanted = -(-programs // max(1, lists))
    return max(1, min(wanted, most_tokens // least_tokens, MOST_PARTS))


@torch.library.custom_op("headrace::sparse_decode", mutates_args=())
def _sparse_decode(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    pages: torch.Tensor,
    n_valid: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    num_splits: int,
    scale: float,
    softcap: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    takes_kernel = dispatch.uses_triton(_OP, q.device, unsupported_reason(q, v_cache))
    if not (q.numel() and k_cache.numel() and pages.numel()):
        return q.new_zeros(q.shape), q.new_full(q.shape[:2], float("-inf"), dtype=torch.float32)
    if not takes_kernel:
        may_look = q.device.type == "cpu"
        return _torch.attend(q, k_cache, v_cache, pages, n_valid, k_scale, v_scale, scale, softcap, may_look=may_look)
    from headrace.kernels.sparse_attention.decode import _kernel  # noqa: PLC0415  (triton only where it runs)

    requests, heads, head_dim = q.shape
    tile = tuned.choose(_OP, tuned.arch(q.device), d=head_dim, bytes=k_cache.element_size())
    most_tokens = pages.shape[2] * k_cache.shape[1]
    splits = num_splits or choose_splits(
        n_valid.numel(), most_tokens, programs=tile["programs"], least_tokens=tile["least_tokens"]
    )
    o = q.new_empty((requests * heads, splits, head_dim), dtype=torch.float32 if splits > 1 else q.dtype)
    lse = q.new_empty((requests * heads, splits), dtype=torch.float32)
    _kernel.launch(
        q, k_cache, v_cache, pages, n_valid, k_scale, v_scale, o, lse,
        scale=scale, softcap=softcap, splits=splits, tile=tile,
    )  # fmt: skip
    if splits > 1:
        o, lse = merge_parts(o, lse, dtype=q.dtype)
    return o.view(q.shape), lse.view(requests, heads)


@_sparse_decode.register_fake
def _(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    pages: torch.Tensor,
    n_valid: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    num_splits: int,
    scale: float,
    softcap: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    del k_cache, v_cache, pages, n_valid, k_scale, v_scale, num_splits, scale, softcap
    return q.new_empty(q.shape), q.new_empty(q.shape[:2], dtype=torch.float32)


def _check_scales(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
) -> None:
    if (k_scale is None) != (v_scale is None):
        raise ValueError("k_scale and v_scale: wanted both, for an int8 cache, or neither")
    kept = q.dtype if k_scale is None else torch.int8
    check_dtype("k_cache", k_cache, kept)
    check_dtype("v_cache", v_cache, kept)
    for name, scales in (("k_scale", k_scale), ("v_scale", v_scale)):
        if scales is not None:
            check_shape(name, scales, *k_cache.shape[:3])
            check_dtype(name, scales, torch.float32)
