"""The weighted sum over a token's experts: one program a token and a piece of its row, experts one after another."""

import triton
import triton.language as tl


@triton.jit
def combine_kernel(
    each,  # [T * TOP_K, H]
    w,  # [T, TOP_K] f32
    ids,  # [T, TOP_K] i32
    out,  # [T, H]
    H,
    TOP_K: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)  # [BLOCK_H]
    real = column < H
    total = tl.zeros((BLOCK_H,), tl.float32)
    for j in tl.static_range(TOP_K):
        slot = token * TOP_K + j
        present = tl.load(ids + slot) >= 0
        factor = tl.load(w + slot, mask=present, other=0.0)
        row = tl.load(each + slot * H + column, mask=column < tl.where(present, H, 0), other=0.0)
        total += row.to(tl.float32) * factor
    tl.store(out + token * H + column, total.to(out.dtype.element_ty), mask=real)
