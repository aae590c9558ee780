"""Triton kernel of page statistics: a page is summed up anew by the program of the last token written to it."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["tokens"])
def page_stats_kernel(
    k_ptr,  # [P, PAGE, Hkv, D]
    scale_ptr,  # f32 [P, PAGE, Hkv], what rows of k are to be multiplied with where SCALED
    slots_ptr,  # [tokens]: page * PAGE + offset, negative for padding
    meta_ptr,  # [P, Hkv, D], or [P, 2, Hkv, D] where MINMAX
    k_p,  # strides: page, token, head
    k_t,
    k_h,
    scale_p,  # strides: page, token, head
    scale_t,
    scale_h,
    meta_p,  # strides: page, part, head
    meta_s,
    meta_h,
    tokens,
    P,
    D,
    PAGE: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
    MINMAX: tl.constexpr,
    SCALED: tl.constexpr,
):
    i = tl.program_id(0)
    h = tl.program_id(1).to(tl.int64)
    slot = tl.load(slots_ptr + i).to(tl.int64)
    after = tl.load(slots_ptr + i + 1, mask=i + 1 < tokens, other=-1).to(tl.int64)
    page = slot // PAGE
    if (slot < 0) | (page >= P) | ((after >= 0) & (after // PAGE == page)):
        return
    filled = (slot % PAGE).to(tl.int32) + 1
    d, t = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_T)
    total = tl.zeros([BLOCK_T, BLOCK_D], tl.float32)
    least, most = total + float("inf"), total - float("inf")
    spoilt = tl.zeros([BLOCK_T, BLOCK_D], tl.int32)
    for step in range(0, filled, BLOCK_T):
        row = (step + t).to(tl.int64)
        has = (row < filled)[:, None] & (d < D)[None, :]
        if SCALED:
            scale = tl.load(scale_ptr + page * scale_p + row * scale_t + h * scale_h, mask=row < filled, other=0.0)
        at = k_ptr + page * k_p + row[:, None] * k_t + h * k_h + d[None, :]
        k = tl.load(at, mask=has, other=0).to(tl.float32)
        if SCALED:
            k *= scale[:, None]
        if MINMAX:
            least = tl.where(has, tl.minimum(least, k), least)
            most = tl.where(has, tl.maximum(most, k), most)
            spoilt |= (k != k).to(tl.int32)  # noqa: PLR0124  (true for NaN alone)
        else:
            total += k
    out = meta_ptr + page * meta_p + h * meta_h + d
    if MINMAX:
        # A minimum may pass a NaN over; a page that holds one has NaN for both.
        nan = tl.max(spoilt, 0) > 0
        low = tl.where(nan, float("nan"), tl.min(least, 0))
        tl.store(out, low.to(meta_ptr.dtype.element_ty), mask=d < D)
        high = tl.where(nan, float("nan"), tl.max(most, 0))
        tl.store(out + meta_s, high.to(meta_ptr.dtype.element_ty), mask=d < D)
    else:
        tl.store(out, (tl.sum(total, 0) / filled.to(tl.float32)).to(meta_ptr.dtype.element_ty), mask=d < D)
