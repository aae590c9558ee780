"""The Triton kernel of `sparse_decode`: one program is one KV head of one request and one part of its listed tokens.

All query heads of a KV head stand in the rows of the same product, so that each key and value is read once. With an
int8 cache the scale of a key multiplies its score and the scale of a value its weight: both stand on the small axis.
"""

import triton
import triton.language as tl

from headrace.kernels.sparse_attention.prefill._kernel import in_base_2, normalised, online_softmax, rows_of


@triton.jit
def page_of(listed, at, is_key, first, num_pages, PAGE: tl.constexpr, BLOCK_N: tl.constexpr):
    """Physical pages [N] of the listed tokens at [N], which begin at `first`, and which of them exist."""
    if PAGE % BLOCK_N == 0:
        # a tile lies inside one page, and the loop reaches it only where it holds a valid token
        page = tl.load(listed + first // PAGE) + tl.zeros([BLOCK_N], tl.int32)
    else:
        page = tl.load(listed + at // PAGE, mask=is_key, other=-1)
    return page.to(tl.int64), is_key & (page >= 0) & (page < num_pages)


@triton.jit
def unpacked(words, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr):
    """The signed bytes [N, D] of words [N, D / 4], the lowest byte first."""
    even = tl.join(words << 24 >> 24, words << 8 >> 24)
    odd = tl.join(words << 16 >> 24, words >> 24)
    return tl.join(even, odd).reshape([BLOCK_N, BLOCK_D])


@triton.jit(do_not_specialize=["num_pages", "max_tokens", "splits"])
def sparse_decode_kernel(
    # q is [B, H, D], a cache [P, page, Hkv, D], its scales [P, page, Hkv], pages [B, Hkv, n], n_valid [B, Hkv],
    # and of all parts out [B * H, splits, D] and lse [B * H, splits]
    q, k_cache, v_cache, k_scale, v_scale, pages, n_valid, out, lse,
    q_stride_b, q_stride_h, k_stride_p, k_stride_t, k_stride_h, v_stride_p, v_stride_t, v_stride_h,
    ks_stride_p, ks_stride_t, ks_stride_h, vs_stride_p, vs_stride_t, vs_stride_h,
    pages_stride_b, pages_stride_h, valid_stride_b, num_pages, max_tokens, splits, scale, softcap,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, PAGE: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_SCALE: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(0) % splits
    request = (tl.program_id(0) // splits // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) // splits % KV_HEADS).to(tl.int64)
    rows = kv_head * GROUP + tl.arange(0, BLOCK_M)
    is_row = tl.arange(0, BLOCK_M) < GROUP
    d = tl.arange(0, BLOCK_D)
    v_words = v_cache.to(tl.pointer_type(tl.int32))
    in_q = is_row[:, None] & (d < D)[None, :]
    q_tile = tl.load(q + request * q_stride_b + rows[:, None] * q_stride_h + d[None, :], mask=in_q, other=0.0)

    # each part takes an equal run of whole tiles of the tokens that are there, whatever the list could hold
    valid = tl.minimum(tl.load(n_valid + request * valid_stride_b + kv_head), max_tokens)
    run = tl.cdiv(tl.cdiv(valid, BLOCK_N), splits) * BLOCK_N
    stop = tl.minimum(valid, (split + 1) * run)
    listed = pages + request * pages_stride_b + kv_head * pages_stride_h
    m = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    for first in range(split * run, stop, BLOCK_N):
        at = first + tl.arange(0, BLOCK_N)
        page, is_key = page_of(listed, at, at < stop, first, num_pages, PAGE, BLOCK_N)
        slot = (at % PAGE).to(tl.int64)
        k_tile = rows_of(k_cache, page, slot, kv_head, k_stride_p, k_stride_t, k_stride_h, is_key, D, BLOCK_D)
        s = tl.dot(q_tile, tl.trans(k_tile).to(q_tile.dtype), input_precision="ieee")
        if HAS_SCALE:
            ks_at = page * ks_stride_p + slot * ks_stride_t + kv_head * ks_stride_h  # [N]
            s = s * tl.load(k_scale + ks_at, mask=is_key, other=0.0)[None, :]
        s = in_base_2(s, scale, softcap, HAS_SOFTCAP)
        s = tl.where(is_key[None, :], s, float("-inf"))
        p, rescale, m, total = online_softmax(s, m, total)
        if HAS_SCALE:
            # values are multiplied across rows: as bytes they would come in pieces of 64 bits, as words in 128
            words = rows_of(
                v_words, page, slot, kv_head, v_stride_p // 4, v_stride_t // 4, v_stride_h // 4, is_key,
                D // 4, BLOCK_D // 4,
            )  # fmt: skip
            v_tile = unpacked(words, BLOCK_N, BLOCK_D)
            vs_at = page * vs_stride_p + slot * vs_stride_t + kv_head * vs_stride_h
            p = p * tl.load(v_scale + vs_at, mask=is_key, other=0.0)[None, :]
        else:
            v_tile = rows_of(v_cache, page, slot, kv_head, v_stride_p, v_stride_t, v_stride_h, is_key, D, BLOCK_D)
        acc = tl.dot(p.to(q_tile.dtype), v_tile.to(q_tile.dtype), acc * rescale[:, None], input_precision="ieee")

    o, log_sum = normalised(acc, m, total)
    at_out = (request * KV_HEADS * GROUP + rows) * splits + split  # [M]
    tl.store(out + at_out[:, None] * D + d[None, :], o.to(out.dtype.element_ty), mask=in_q)
    tl.store(lse + at_out, log_sum, mask=is_row)


def launch(q, k_cache, v_cache, pages, n_valid, k_scale, v_scale, out, lse, *, scale, softcap, splits, tile) -> None:
    """Start the kernel on what `sparse_decode` has checked; `tile` is a row of the tuned table.

    Fills out [B * H, splits, D] and lse [B * H, splits], both contiguous.
    """
    num_pages, page, kv_heads, head_dim = k_cache.shape
    group = q.shape[1] // kv_heads
    has_scale = k_scale is not None
    scales = (k_scale, v_scale) if has_scale else (lse, lse)  # never read
    strides = (*k_scale.stride(), *v_scale.stride()) if has_scale else (0,) * 6
    sparse_decode_kernel[(q.shape[0] * kv_heads * splits,)](
        q, k_cache, v_cache, *scales, pages, n_valid, out, lse,
        q.stride(0), q.stride(1), *k_cache.stride()[:3], *v_cache.stride()[:3], *strides,
        pages.stride(0), pages.stride(1), n_valid.stride(0), num_pages, pages.shape[2] * page, splits, scale, softcap,
        KV_HEADS=kv_heads, GROUP=group, PAGE=page, D=head_dim, BLOCK_D=triton.next_power_of_2(head_dim),
        BLOCK_M=max(16, triton.next_power_of_2(group)), BLOCK_N=tile["block_n"],
        HAS_SOFTCAP=softcap > 0, HAS_SCALE=has_scale,
        num_warps=tile["num_warps"], num_stages=tile["num_stages"],
    )  # fmt: skip
