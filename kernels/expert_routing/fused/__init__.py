"""`fused_experts`: alignment, gate and up with SwiGLU, down, and the weighted sum over a token's experts, in order.

`reference.py` says it one token at a time in float64; README.md counts the bytes.
"""

import torch

from headrace.kernels import checking, tuned
from headrace.kernels.expert_routing.align import moe_align
from headrace.kernels.expert_routing.fused.combine import combine
from headrace.kernels.expert_routing.gemm import check as check_product
from headrace.kernels.expert_routing.gemm.launch import multiply
from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.quant_layout import ExpertQuant

__all__ = ["fused_experts"]


def fused_experts(
    x: torch.Tensor,
    w13: torch.Tensor,
    w2: torch.Tensor,
    w: torch.Tensor,
    ids: torch.Tensor,
    *,
    quant: ExpertQuant | None = None,
) -> torch.Tensor:
    """Return [T, H] in the type of `x`: for each token the sum over j of w[t, j] times expert ids[t, j] of x[t].

    x: [T, H]; w13: [E, 2 I, H], gate rows then up rows; w2: [E, H, I]; w: f32 [T, k]; ids: i32 [T, k], -1 an expert
    that is not here and adds nothing. quant: scales and zero points where w13 and w2 hold integers (a last axis of
    half the length is int4). The sum goes over j = 0, 1, .. in float32, so that equal inputs give equal bits.
    NaN and infinity in a row of `x` stay in its own result. Raises TypeError and ValueError with both values.
    """
    _check(x, w13, w2, w, ids, quant)
    scales = (None, None, None, None) if quant is None else (quant.w13_scale, quant.w13_zp, quant.w2_scale, quant.w2_zp)
    out: torch.Tensor = _fused_experts(x, w13, w2, w, ids, *scales)
    return out


@torch.library.custom_op("headrace::fused_experts", mutates_args=())
def _fused_experts(  # noqa: PLR0917  (an operator's schema)
    x: torch.Tensor,
    w13: torch.Tensor,
    w2: torch.Tensor,
    w: torch.Tensor,
    ids: torch.Tensor,
    w13_scale: torch.Tensor | None,
    w13_zp: torch.Tensor | None,
    w2_scale: torch.Tensor | None,
    w2_zp: torch.Tensor | None,
) -> torch.Tensor:
    tokens, hidden = x.shape
    experts, top_k = w13.shape[0], ids.shape[1]
    if not tokens or not top_k or not experts:
        return x.new_zeros((tokens, hidden))
    mean_rows = -(-tokens * top_k // experts)
    tile = tuned.choose("fused_experts", tuned.arch(x.device), rows=mean_rows)
    align = moe_align(ids, experts, tile["block_m"])
    # rows of absent experts stay unwritten in both; `combine` leaves them out by their ids
    inner = x.new_empty((tokens * top_k, w13.shape[1] // 2))
    multiply(Product(x, w13, w13_scale, w13_zp, top_k, None, swiglu=True), align, inner)
    each = x.new_empty((tokens * top_k, hidden))
    multiply(Product(inner, w2, w2_scale, w2_zp, 1, None, swiglu=False), align, each)
    return combine(each, w, ids)


@_fused_experts.register_fake
def _(  # noqa: PLR0917  (same)
    x: torch.Tensor,
    w13: torch.Tensor,  # noqa: ARG001  (the op's signature)
    w2: torch.Tensor,  # noqa: ARG001  (same)
    w: torch.Tensor,  # noqa: ARG001  (same)
    ids: torch.Tensor,  # noqa: ARG001  (same)
    w13_scale: torch.Tensor | None,  # noqa: ARG001  (same)
    w13_zp: torch.Tensor | None,  # noqa: ARG001  (same)
    w2_scale: torch.Tensor | None,  # noqa: ARG001  (same)
    w2_zp: torch.Tensor | None,  # noqa: ARG001  (same)
) -> torch.Tensor:
    return x.new_empty(x.shape)


def _check(  # noqa: PLR0917  (the operands, once more)
    x: torch.Tensor,
    w13: torch.Tensor,
    w2: torch.Tensor,
    w: torch.Tensor,
    ids: torch.Tensor,
    quant: ExpertQuant | None,
) -> None:
    scale13, zp13 = (None, None) if quant is None else (quant.w13_scale, quant.w13_zp)
    scale2, zp2 = (None, None) if quant is None else (quant.w2_scale, quant.w2_zp)
    check_product(x, w13, scale13, zp13, top_k=max(1, ids.shape[-1]), swiglu=True, name="w13")
    tokens, hidden = x.shape
    experts, inner = w13.shape[0], w13.shape[1] // 2
    checking.check_shape("w2", w2, experts, hidden, "I or I / 2")
    check_product(x.new_empty((0, inner)), w2, scale2, zp2, top_k=1, swiglu=False, name="w2")
    checking.check_shape("ids", ids, tokens, "k")
    checking.check_dtype("ids", ids, torch.int32)
    checking.check_shape("w", w, *ids.shape)
    checking.check_dtype("w", w, torch.float32)
    for name, tensor in (("ids", ids), ("w", w)):
        if not tensor.is_contiguous():
            raise ValueError(f"{name} has strides {tensor.stride()}; wanted it contiguous")
    checking.check_devices(x=x, w13=w13, w2=w2, w=w, ids=ids)
    checking.check_range("ids", ids, -1, experts - 1)
