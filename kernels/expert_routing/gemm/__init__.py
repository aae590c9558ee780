"""`moe_gemm`: each expert's matrix times the rows that were routed to it, bf16, fp16, f32, int8 or int4 weights.

The alignment (`moe_align`) says which rows go to which expert; integer weights lie as `headrace.kernels.quant_layout`
says. `reference.py` is the plain statement, `_torch.py` the path without a GPU, `_kernel.py` the kernel.
"""

from typing import Final

import torch

from headrace.kernels import checking
from headrace.kernels.expert_routing.gemm.launch import multiply
from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.quant_layout import BYTE_BITS, weight_bits

Align = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

FLOATS: Final = (torch.bfloat16, torch.float16, torch.float32)
INTEGERS: Final = (torch.int8, torch.uint8)


def moe_gemm(
    a: torch.Tensor,
    w: torch.Tensor,
    scale: torch.Tensor | None,
    zp: torch.Tensor | None,
    align: Align,
    *,
    top_k: int,
    mul_weight: torch.Tensor | None,
    swiglu: bool = False,
) -> torch.Tensor:
    """Return [T * top_k, N] in the type of `a`: row s is a[s // top_k] times the matrix of the expert s went to.

    a: [T, K]; w: [E, N, K] of the type of `a` or int8 or (with zp) uint8, or uint8 [E, N, K / 2] holding int4; scale,
    zp: [E, N, K / group]; align: (sorted_ids, expert_ids, num_post) of `moe_align`; mul_weight: f32 [T * top_k], one
    factor a row. swiglu: w holds N / 2 gate rows, then N / 2 up rows, and the result is silu(gate) * up, [.., N / 2].
    Rows that no block names are 0. NaN and infinity in a row of `a` stay in its own results.
    Raises TypeError and ValueError with both values. Safe to share between threads.
    """
    check(a, w, scale, zp, top_k=top_k, swiglu=swiglu)
    rows = a.shape[0] * top_k
    sorted_ids, expert_ids, num_post = align
    _check_align(sorted_ids, expert_ids, num_post, rows, w.shape[0])
    if mul_weight is not None:
        checking.check_shape("mul_weight", mul_weight, rows)
        checking.check_dtype("mul_weight", mul_weight, torch.float32)
    checking.check_devices(a=a, sorted_ids=sorted_ids, expert_ids=expert_ids, num_post=num_post, mul_weight=mul_weight)
    out: torch.Tensor = _moe_gemm(a, w, scale, zp, sorted_ids, expert_ids, num_post, top_k, mul_weight, swiglu)
    return out


def check(
    a: torch.Tensor,
    w: torch.Tensor,
    scale: torch.Tensor | None,
    zp: torch.Tensor | None,
    *,
    top_k: int,
    swiglu: bool,
    name: str = "w",
) -> None:
    """Raise TypeError or ValueError unless the operands of one product fit each other."""
    checking.check_shape("a", a, "T", "K")
    checking.check_dtype("a", a, *FLOATS)
    if top_k < 1:
        raise ValueError(f"top_k={top_k}; wanted at least 1")
    checking.check_shape(name, w, "E", "N", "K or K / 2")
    checking.check_dtype(name, w, a.dtype, *INTEGERS)
    n, k = w.shape[1], a.shape[1]
    bits = weight_bits(w, k, name)
    if swiglu and n % 2:
        raise ValueError(f"{name} has {n} rows; swiglu takes two halves, so the number must be even")
    checking.check_last_contiguous(a=a, scale=scale, zp=zp, **{name: w})
    checking.check_devices(a=a, scale=scale, zp=zp, **{name: w})
    if bits > BYTE_BITS:
        if scale is not None or zp is not None:
            raise ValueError(f"{name} has dtype {w.dtype}, and a scale or zp came with it; wanted integers or neither")
        return
    _check_scale(w, scale, zp, k=k, bits=bits, name=name)


def _check_scale(
    w: torch.Tensor, scale: torch.Tensor | None, zp: torch.Tensor | None, *, k: int, bits: int, name: str
) -> None:
    if scale is None:
        raise ValueError(f"{name} has dtype {w.dtype} and scale is None; integers need scales [E, N, K / group]")
    checking.check_shape(f"{name} scale", scale, w.shape[0], w.shape[1], "groups")
    checking.check_dtype(f"{name} scale", scale, *FLOATS)
    groups = scale.shape[2]
    if k and (groups == 0 or k % groups):
        raise ValueError(f"{name} scale has {groups} groups and K is {k}; wanted a number of groups that divides K")
    if zp is not None:
        checking.check_shape(f"{name} zp", zp, *scale.shape)
        checking.check_dtype(f"{name} zp", zp, torch.uint8)
        if w.dtype == torch.int8:
            raise TypeError(f"{name} has dtype torch.int8 and zp came with it; with zero points it must be torch.uint8")
    elif bits == BYTE_BITS and w.dtype == torch.uint8:
        raise TypeError(f"{name} has dtype torch.uint8 and zp is None; without zero points it must be torch.int8")


def _check_align(
    sorted_ids: torch.Tensor, expert_ids: torch.Tensor, num_post: torch.Tensor, rows: int, experts: int
) -> None:
    for name, tensor in (("sorted_ids", sorted_ids), ("expert_ids", expert_ids), ("num_post", num_post)):
        checking.check_dtype(name, tensor, torch.int32)
        if not tensor.is_contiguous():
            raise ValueError(f"{name} has strides {tensor.stride()}; wanted it contiguous")
    checking.check_shape("num_post", num_post, 1)
    checking.check_shape("expert_ids", expert_ids, "blocks")
    checking.check_shape("sorted_ids", sorted_ids, "blocks * block_m")
    blocks = expert_ids.numel()
    if (blocks == 0) != (sorted_ids.numel() == 0) or (blocks and sorted_ids.numel() % blocks):
        raise ValueError(f"sorted_ids has {sorted_ids.numel()} places for {blocks} blocks; wanted whole blocks")
    checking.check_range("sorted_ids", sorted_ids, 0, rows)
    checking.check_range("expert_ids", expert_ids, -1, experts - 1)
    checking.check_range("num_post", num_post, 0, sorted_ids.numel())


@torch.library.custom_op("headrace::moe_gemm", mutates_args=())
def _moe_gemm(  # noqa: PLR0917  (an operator's schema)
    a: torch.Tensor,
    w: torch.Tensor,
    scale: torch.Tensor | None,
    zp: torch.Tensor | None,
    sorted_ids: torch.Tensor,
    expert_ids: torch.Tensor,
    num_post: torch.Tensor,
    top_k: int,
    mul_weight: torch.Tensor | None,
    swiglu: bool,
) -> torch.Tensor:
    out = a.new_zeros((a.shape[0] * top_k, w.shape[1] // 2 if swiglu else w.shape[1]))
    multiply(Product(a, w, scale, zp, top_k, mul_weight, swiglu), (sorted_ids, expert_ids, num_post), out)
    return out


@_moe_gemm.register_fake
def _(  # noqa: PLR0917  (same)
    a: torch.Tensor,
    w: torch.Tensor,
    scale: torch.Tensor | None,  # noqa: ARG001  (the op's signature)
    zp: torch.Tensor | None,  # noqa: ARG001  (same)
    sorted_ids: torch.Tensor,  # noqa: ARG001  (same)
    expert_ids: torch.Tensor,  # noqa: ARG001  (same)
    num_post: torch.Tensor,  # noqa: ARG001  (same)
    top_k: int,
    mul_weight: torch.Tensor | None,  # noqa: ARG001  (same)
    swiglu: bool,
) -> torch.Tensor:
    return a.new_empty((a.shape[0] * top_k, w.shape[1] // 2 if swiglu else w.shape[1]))
