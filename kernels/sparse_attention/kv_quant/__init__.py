"""Write keys and values to an int8 paged cache, one scale for each token and KV head; `sparse_decode` reads it.

`reference.py` states it in float64; README.md says what it costs, and why there is no fp8.
"""

from typing import Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.checking import check_devices, check_dtype, check_last_contiguous, check_shape
from headrace.kernels.sparse_attention.kv_quant import _torch

__all__ = ["MOST_HEAD_DIM", "unsupported_reason", "write_int8_kv"]

MOST_HEAD_DIM: Final = 256
_OP: Final = "write_int8_kv"
_FLOATING: Final = (torch.float32, torch.float16, torch.bfloat16)


def write_int8_kv(  # noqa: PLR0917  (as attention is called everywhere)
    k: torch.Tensor,
    v: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    slots: torch.Tensor,
) -> None:
    """Write k, v [T, Hkv, D] to int8 caches [P, page, Hkv, D] and float32 scales [P, page, Hkv], in place.

    slots [T] int32 or int64: page * page size + row of each token, at most once each; one that no page has, as -1, is
    left out. A row is divided by its largest magnitude over 127 and rounded, halves to even; a row with a NaN or an
    infinity gets zeros and a NaN for its scale, so that what reads it shows it. Raises ValueError and TypeError for
    what does not fit together.
    """
    check_shape("k", k, "T", "Hkv", "D")
    check_shape("v", v, *k.shape)
    check_shape("k_cache", k_cache, "P", "page", k.shape[1], k.shape[2])
    check_shape("v_cache", v_cache, *k_cache.shape)
    check_shape("k_scale", k_scale, *k_cache.shape[:3])
    check_shape("v_scale", v_scale, *k_cache.shape[:3])
    check_shape("slots", slots, k.shape[0])
    check_dtype("k", k, *_FLOATING)
    check_dtype("v", v, k.dtype)
    for name, cache in (("k_cache", k_cache), ("v_cache", v_cache)):
        check_dtype(name, cache, torch.int8)
    for name, scale in (("k_scale", k_scale), ("v_scale", v_scale)):
        check_dtype(name, scale, torch.float32)
    check_dtype("slots", slots, torch.int32, torch.int64)
    check_devices(k=k, v=v, k_cache=k_cache, v_cache=v_cache, k_scale=k_scale, v_scale=v_scale, slots=slots)
    check_last_contiguous(k=k, v=v, k_cache=k_cache, v_cache=v_cache, slots=slots)
    _write_int8_kv(k, v, k_cache, v_cache, k_scale, v_scale, slots)


def unsupported_reason(k: torch.Tensor) -> str | None:
    """Return why the kernel cannot take these rows, in a word that lasts, or None where it can."""
    return "head-dim" if k.shape[2] > MOST_HEAD_DIM else None


@torch.library.custom_op("headrace::write_int8_kv", mutates_args=("k_cache", "v_cache", "k_scale", "v_scale"))
def _write_int8_kv(  # noqa: PLR0917  (as attention is called everywhere)
    k: torch.Tensor,
    v: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    slots: torch.Tensor,
) -> None:
    takes_kernel = dispatch.uses_triton(_OP, k.device, unsupported_reason(k))
    if not (k.numel() and k_cache.numel()):
        return
    if not takes_kernel:
        _torch.write(k, k_cache, k_scale, slots)
        _torch.write(v, v_cache, v_scale, slots)
        return
    from headrace.kernels.sparse_attention.kv_quant import _kernel  # noqa: PLC0415  (triton only where it runs)

    tile = tuned.choose(_OP, tuned.arch(k.device), d=k.shape[2])
    _kernel.launch(k, v, k_cache, v_cache, k_scale, v_scale, slots, tile=tile)


@_write_int8_kv.register_fake
def _(  # noqa: PLR0917  (as attention is called everywhere)
    k: torch.Tensor,
    v: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    slots: torch.Tensor,
) -> None:
    del k, v, k_cache, v_cache, k_scale, v_scale, slots
