"""The Triton kernel of `write_int8_kv`: one program is some tokens of one KV head, their keys and their values."""

import triton
import triton.language as tl

INT8_LIMIT = tl.constexpr(127.0)
SMALLEST_SCALE = tl.constexpr(1e-10)
# a float32 of this size has no fraction: adding and taking it away rounds to nearest even
ROUNDS = tl.constexpr(12582912.0)


@triton.jit
def rounded_rows(rows):
    """(int8 [T, D], scale [T]) of rows [T, D]; a row that is not finite gives zeros and a NaN."""
    wide = rows.to(tl.float32)
    is_finite = tl.sum((tl.abs(wide) < float("inf")).to(tl.int32), 1) == rows.shape[1]
    wide = tl.where(is_finite[:, None], wide, 0.0)
    # exact division, as torch divides: an approximate one moves ties
    scale = tl.maximum(tl.div_rn(tl.max(tl.abs(wide), 1), INT8_LIMIT), SMALLEST_SCALE)
    steps = tl.div_rn(wide, tl.broadcast_to(scale[:, None], wide.shape))
    rounded = ((steps + ROUNDS) - ROUNDS).to(tl.int8)
    return rounded, tl.where(is_finite, scale, float("nan"))


@triton.jit(do_not_specialize=["tokens", "num_slots"])
def write_int8_kv_kernel(
    # shapes: k, v [T, Hkv, D]; caches [P, page, Hkv, D] int8; scales [P, page, Hkv]; slots [T]
    k, v, k_cache, v_cache, k_scale, v_scale, slots,
    k_stride_t, k_stride_h, v_stride_t, v_stride_h,
    kc_stride_p, kc_stride_t, kc_stride_h, vc_stride_p, vc_stride_t, vc_stride_h,
    ks_stride_p, ks_stride_t, ks_stride_h, vs_stride_p, vs_stride_t, vs_stride_h,
    tokens, num_slots,
    KV_HEADS: tl.constexpr, PAGE: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    token = tl.program_id(0) // KV_HEADS * BLOCK_T + tl.arange(0, BLOCK_T)
    d = tl.arange(0, BLOCK_D)
    slot = tl.load(slots + token, mask=token < tokens, other=-1).to(tl.int64)  # [T]
    is_kept = (slot >= 0) & (slot < num_slots)
    page, row = slot // PAGE, slot % PAGE
    in_row = is_kept[:, None] & (d < D)[None, :]
    token = token.to(tl.int64)
    k_rows = tl.load(k + (token * k_stride_t + head * k_stride_h)[:, None] + d[None, :], mask=in_row, other=0.0)
    v_rows = tl.load(v + (token * v_stride_t + head * v_stride_h)[:, None] + d[None, :], mask=in_row, other=0.0)
    k_int, k_one = rounded_rows(k_rows)
    v_int, v_one = rounded_rows(v_rows)
    k_at = page * kc_stride_p + row * kc_stride_t + head * kc_stride_h
    v_at = page * vc_stride_p + row * vc_stride_t + head * vc_stride_h
    tl.store(k_cache + k_at[:, None] + d[None, :], k_int, mask=in_row)
    tl.store(v_cache + v_at[:, None] + d[None, :], v_int, mask=in_row)
    tl.store(k_scale + page * ks_stride_p + row * ks_stride_t + head * ks_stride_h, k_one, mask=is_kept)
    tl.store(v_scale + page * vs_stride_p + row * vs_stride_t + head * vs_stride_h, v_one, mask=is_kept)


def launch(k, v, k_cache, v_cache, k_scale, v_scale, slots, *, tile) -> None:
    """Start the kernel on what `write_int8_kv` has checked; `tile` is a row of the tuned table."""
    tokens, kv_heads, head_dim = k.shape
    write_int8_kv_kernel[(triton.cdiv(tokens, tile["block_t"]) * kv_heads,)](
        k, v, k_cache, v_cache, k_scale, v_scale, slots,
        *k.stride()[:2], *v.stride()[:2], *k_cache.stride()[:3], *v_cache.stride()[:3],
        *k_scale.stride(), *v_scale.stride(), tokens, k_cache.shape[0] * k_cache.shape[1],
        KV_HEADS=kv_heads, PAGE=k_cache.shape[1], D=head_dim, BLOCK_D=triton.next_power_of_2(head_dim),
        BLOCK_T=tile["block_t"], num_warps=tile["num_warps"], num_stages=tile["num_stages"],
    )  # fmt: skip
