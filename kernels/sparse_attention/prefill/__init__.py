"""Attention of prompt chunks over lists of key blocks in a paged cache: causal, grouped heads, window, sinks, soft-cap.

`reference.py` states it in float64; README.md says what is read, and how empty lists, NaN and bad entries come out.
"""

from typing import Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.checking import (
    check_devices,
    check_dtype,
    check_last_contiguous,
    check_range,
    check_shape,
    values_are_checked,
)
from headrace.kernels.sparse_attention.prefill import _torch

__all__ = ["HEAD_DIMS", "sparse_prefill", "unsupported_reason"]

HEAD_DIMS: Final = (64, 80, 96, 128)
"""Sizes of a head that the kernel takes; those between powers of two are padded in registers, not in memory."""
_OP: Final = "sparse_prefill"
_BLOCKS_Q: Final = (16, 32, 64, 128)
_BLOCKS_KV: Final = (16, 32, 64, 128, 256)
_HALF: Final = (torch.float16, torch.bfloat16)


def sparse_prefill(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_table: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
    idx: torch.Tensor,
    cnt: torch.Tensor,
    *,
    window: int | None = None,
    sink: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    block_q: int = 64,
    block_kv: int = 64,
    max_seqlen_q: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return o [T, H, D] and lse [H, T] (float32, natural log) of q [T, H, D] over the listed blocks of each query.

    k_cache, v_cache [P, page, Hkv, D]; block_table [B, pages] int32; cu_q [B + 1] and seq_lens [B] int32. Query i of
    sequence b stands at position seq_lens[b] - (cu_q[b + 1] - cu_q[b]) + i and sees listed keys up to itself. Query
    block j of sequence b is row b * ceil(max_seqlen_q / block_q) + j of idx [Hkv, rows, most] and cnt [Hkv, rows]
    int32: the first cnt entries are numbers of blocks of block_kv keys, each at most once, in any order; numbers no
    block has are passed over, as are keys on pages that do not exist. window: a query sees its last `window` tokens,
    itself among them, and the first `sink` tokens of the sequence. scale: D ** -0.5 by default. softcap > 0 bounds
    scores by cap * tanh(score / cap). A query that sees nothing gets o = 0 and lse = -inf, as do the rows of q that no
    sequence has. Raises ValueError and TypeError for what does not fit together.
    """
    _check_tensors(q, k_cache, v_cache, block_table, cu_q, seq_lens)
    _check_lists(q, k_cache, cu_q, seq_lens, idx, cnt, block_q, block_kv, max_seqlen_q)
    check_numbers(scale, softcap)
    if window is not None and window < 1:
        raise ValueError(f"window={window}; wanted at least 1 token, or None for no window")
    if sink < 0:
        raise ValueError(f"sink={sink}; wanted at least 0 tokens")
    scale = q.shape[2] ** -0.5 if scale is None else float(scale)
    lists = (block_table, cu_q, seq_lens, idx, cnt)
    attended: tuple[torch.Tensor, torch.Tensor] = _sparse_prefill(
        q, k_cache, v_cache, *lists, window or 0, sink, scale, float(softcap), block_q, block_kv
    )
    return attended


def unsupported_reason(q: torch.Tensor, block_q: int, block_kv: int) -> str | None:
    """Return why the kernel cannot take this shape, in a word that lasts, or None where it can."""
    if q.dtype not in _HALF and not (q.dtype == torch.float32 and dispatch.is_interpreted()):
        return "dtype"
    if q.shape[2] not in HEAD_DIMS:
        return "head-dim"
    return "block-size" if block_q not in _BLOCKS_Q or block_kv not in _BLOCKS_KV else None


def check_numbers(scale: float | None, softcap: float) -> None:
    """Raise ValueError for a scale that is not positive or a soft-cap below 0."""
    if scale is not None and not scale > 0:
        raise ValueError(f"scale={scale}; wanted a positive number, or None for D ** -0.5")
    if not softcap >= 0:
        raise ValueError(f"softcap={softcap}; wanted a positive number, or 0 for none")


@torch.library.custom_op("headrace::sparse_prefill", mutates_args=())
def _sparse_prefill(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_table: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
    idx: torch.Tensor,
    cnt: torch.Tensor,
    window: int,
    sink: int,
    scale: float,
    softcap: float,
    block_q: int,
    block_kv: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    takes_kernel = dispatch.uses_triton(_OP, q.device, unsupported_reason(q, block_q, block_kv))
    is_empty = not (q.numel() and idx.numel() and k_cache.numel() and block_table.numel())
    if not (takes_kernel or is_empty):
        lists = (block_table, cu_q, seq_lens, idx, cnt)
        problem = _torch.Problem(q, k_cache, v_cache, *lists, window, sink, scale, softcap, block_q, block_kv)
        return _torch.attend(problem, may_look=q.device.type == "cpu")
    out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.full((q.shape[1], q.shape[0]), float("-inf"), device=q.device)
    if is_empty:
        return out, lse
    from headrace.kernels.sparse_attention.prefill import _kernel  # noqa: PLC0415  (triton only where it runs)

    _kernel.launch(
        q, k_cache, v_cache, block_table, cu_q, seq_lens, idx, cnt, out, lse,
        window=window, sink=sink, scale=scale, softcap=softcap, block_q=block_q, block_kv=block_kv,
        tile=tuned.choose(_OP, tuned.arch(q.device), q=block_q, d=q.shape[2]),
    )  # fmt: skip
    return out, lse


@_sparse_prefill.register_fake
def _(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_table: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
    idx: torch.Tensor,
    cnt: torch.Tensor,
    window: int,
    sink: int,
    scale: float,
    softcap: float,
    block_q: int,
    block_kv: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    del k_cache, v_cache, block_table, cu_q, seq_lens, idx, cnt, window, sink, scale, softcap, block_q, block_kv
    return q.new_empty(q.shape), q.new_empty((q.shape[1], q.shape[0]), dtype=torch.float32)


def _check_tensors(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_table: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
) -> None:
    check_shape("q", q, "T", "H", "D")
    check_shape("k_cache", k_cache, "P", "page", "Hkv", q.shape[2])
    check_shape("v_cache", v_cache, *k_cache.shape)
    kv_heads = k_cache.shape[2]
    if not kv_heads or q.shape[1] % kv_heads:
        raise ValueError(f"q has {q.shape[1]} heads and k_cache {kv_heads}; wanted a multiple of the cache's")
    check_dtype("q", q, *_HALF, torch.float32, torch.float64)
    check_dtype("k_cache", k_cache, q.dtype)
    check_dtype("v_cache", v_cache, q.dtype)
    check_shape("seq_lens", seq_lens, "B")
    check_shape("cu_q", cu_q, seq_lens.shape[0] + 1)
    check_shape("block_table", block_table, seq_lens.shape[0], "pages")
    for name, tensor in (("block_table", block_table), ("cu_q", cu_q), ("seq_lens", seq_lens)):
        check_dtype(name, tensor, torch.int32)
    check_devices(q=q, k_cache=k_cache, v_cache=v_cache, block_table=block_table, cu_q=cu_q, seq_lens=seq_lens)
    check_last_contiguous(q=q, k_cache=k_cache, v_cache=v_cache, block_table=block_table, cu_q=cu_q, seq_lens=seq_lens)
    check_range("seq_lens", seq_lens, 0, block_table.shape[1] * k_cache.shape[1])
    check_range("cu_q", cu_q, 0, q.shape[0])


def _check_lists(  # noqa: PLR0917  (as attention is called everywhere)
    q: torch.Tensor,
    k_cache: torch.Tensor,
    cu_q: torch.Tensor,
    seq_lens: torch.Tensor,
    idx: torch.Tensor,
    cnt: torch.Tensor,
    block_q: int,
    block_kv: int,
    max_seqlen_q: int,
) -> None:
    for name, size in (("block_q", block_q), ("block_kv", block_kv)):
        if size < 1:
            raise ValueError(f"{name}={size}; wanted at least 1 token")
    if max_seqlen_q < 0:
        raise ValueError(f"max_seqlen_q={max_seqlen_q}; wanted the queries of the longest sequence")
    check_shape("idx", idx, k_cache.shape[2], seq_lens.shape[0] * -(-max_seqlen_q // block_q), "most")
    check_shape("cnt", cnt, idx.shape[0], idx.shape[1])
    check_dtype("idx", idx, torch.int32)
    check_dtype("cnt", cnt, torch.int32)
    check_devices(q=q, idx=idx, cnt=cnt)
    check_last_contiguous(idx=idx, cnt=cnt)
    check_range("cnt", cnt, 0, idx.shape[2])
    if values_are_checked(cu_q):
        lengths = cu_q.diff()
        check_range("the lengths of the sequences (cu_q)", lengths, 0, max_seqlen_q)
        check_range("seq_lens less the lengths of cu_q (the prefix)", seq_lens - lengths, 0, 2**31 - 1)
