"""The Triton kernel of `sparse_prefill`: one program is one query tile of one head, over the blocks of its list.

Scores are kept in base 2 (the scale is folded with log2 e), sums in float32; addresses in the cache are 64-bit.
"""

import triton
import triton.language as tl

LN2 = tl.constexpr(0.6931471805599453)
LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def in_base_2(s, scale, softcap, HAS_SOFTCAP: tl.constexpr):
    """Products s of queries and keys as scores in base 2; with a soft-cap, cap * tanh(score / cap)."""
    if HAS_SOFTCAP:
        # tanh by one exponential: at both ends it saturates to -1 and 1 without NaN
        s = softcap * (1.0 - 2.0 / (1.0 + tl.exp2(s * (2.0 * LOG2E * scale / softcap)))) * LOG2E
    else:
        s = s * (scale * LOG2E)
    return s


@triton.jit
def online_softmax(s, m, total):
    """Fold scores s [M, N] (base 2, -inf where masked) into the running maximum m [M] and sum [M].

    Returns (p [M, N], rescale [M], m, sum). A row that has seen nothing keeps m = -inf and never computes inf - inf.
    """
    new_m = tl.maximum(m, tl.max(s, 1))
    base = tl.where(new_m == float("-inf"), 0.0, new_m)
    p = tl.exp2(s - base[:, None])
    rescale = tl.exp2(m - base)
    return p, rescale, new_m, total * rescale + tl.sum(p, 1)


@triton.jit
def normalised(acc, m, total):
    """The output [M, D] and the natural log-sum-exp [M] of what `online_softmax` has summed; 0 and -inf of nothing."""
    is_empty = total == 0.0
    sure = tl.where(is_empty, 1.0, total)
    return acc / sure[:, None], tl.where(is_empty, float("-inf"), (m + tl.log2(sure)) * LN2)


@triton.jit
def rows_of(cache, page, slot, kv_head, stride_p, stride_t, stride_h, is_key, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Rows [N, BLOCK_D] of one KV head at slots [N] of pages [N], all int64; 0 where there is no key."""
    d = tl.arange(0, BLOCK_D)
    at = page * stride_p + slot * stride_t + kv_head * stride_h
    return tl.load(cache + at[:, None] + d[None, :], mask=is_key[:, None] & (d < D)[None, :], other=0)


@triton.jit
def sees(at_q, at_k, window, sink, HAS_WINDOW: tl.constexpr):
    """Which keys at_k [N] the queries at at_q [M] may see: causal, and in the window or among the sink tokens."""
    ok = at_k[None, :] <= at_q[:, None]
    if HAS_WINDOW:
        ok = ok & ((at_q[:, None] - at_k[None, :] < window) | (at_k[None, :] < sink))
    return ok


@triton.jit
def pages_of(table, at_k, is_key, first, max_pages, PAGE: tl.constexpr, BLOCK_N: tl.constexpr):
    """Physical pages [N] of the keys at_k [N], which begin at `first`; -1 where there is none."""
    if PAGE % BLOCK_N == 0:
        # a tile lies inside one page: one number for all
        page = tl.load(table + first // PAGE, mask=first // PAGE < max_pages, other=-1) + tl.zeros([BLOCK_N], tl.int32)
    else:
        page = tl.load(table + at_k // PAGE, mask=is_key & (at_k // PAGE < max_pages), other=-1)
    return page


@triton.jit(do_not_specialize=["num_pages", "max_pages", "query_blocks", "max_listed", "window", "sink"])
def sparse_prefill_kernel(
    # shapes: q, out [T, H, D]; caches [P, page, Hkv, D]; block_table [B, max_pages]; cu_q [B + 1]; seq_lens [B];
    # with R = B * query_blocks: idx [Hkv, R, max_listed]; cnt [Hkv, R]; and lse [H, T]
    q, k_cache, v_cache, block_table, cu_q, seq_lens, idx, cnt, out, lse,
    q_stride_t, q_stride_h, k_stride_p, k_stride_t, k_stride_h, v_stride_p, v_stride_t, v_stride_h,
    table_stride, idx_stride_h, idx_stride_q, cnt_stride_h, out_stride_t, out_stride_h, lse_stride_h,
    num_pages, max_pages, query_blocks, max_listed, scale, softcap, window, sink,
    HEADS: tl.constexpr, GROUP: tl.constexpr, PAGE: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_Q: tl.constexpr, BLOCK_KV: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    HAS_WINDOW: tl.constexpr, HAS_SOFTCAP: tl.constexpr,
):  # fmt: skip
    TILES: tl.constexpr = BLOCK_Q // BLOCK_M
    PARTS: tl.constexpr = BLOCK_KV // BLOCK_N
    head = (tl.program_id(0) % HEADS).to(tl.int64)  # neighbours share their KV head, hence its blocks in L2
    block = tl.program_id(0) // HEADS // TILES
    sequence = block // query_blocks
    start = tl.load(cu_q + sequence)
    length = tl.load(cu_q + sequence + 1) - start
    first_row = block % query_blocks * BLOCK_Q + tl.program_id(0) // HEADS % TILES * BLOCK_M
    if first_row >= length:
        return
    kv_len = tl.load(seq_lens + sequence)
    rows = first_row + tl.arange(0, BLOCK_M)
    at_q = kv_len - length + rows
    token = (start + rows).to(tl.int64)  # [M]
    d = tl.arange(0, BLOCK_D)
    in_q = (rows < length)[:, None] & (d < D)[None, :]
    q_tile = tl.load(q + token[:, None] * q_stride_t + head * q_stride_h + d[None, :], mask=in_q, other=0.0)

    m = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    kv_head = head // GROUP
    listed = idx + kv_head * idx_stride_h + block.to(tl.int64) * idx_stride_q
    table = block_table + sequence.to(tl.int64) * table_stride
    many = tl.minimum(tl.load(cnt + kv_head * cnt_stride_h + block), max_listed) * PARTS
    for step in range(many):
        kv_block = tl.load(listed + step // PARTS)
        # a number no block has becomes that of a block past the end, all of whose keys are masked
        past = kv_len // BLOCK_KV + 1
        kv_block = tl.where((kv_block >= 0) & (kv_block < past), kv_block, past)
        first = kv_block * BLOCK_KV + step % PARTS * BLOCK_N
        at_k = first + tl.arange(0, BLOCK_N)
        is_key = at_k < kv_len
        page = pages_of(table, at_k, is_key, first, max_pages, PAGE, BLOCK_N)
        is_key = is_key & (page >= 0) & (page < num_pages)
        slot = (at_k % PAGE).to(tl.int64)
        page = page.to(tl.int64)
        k_tile = rows_of(k_cache, page, slot, kv_head, k_stride_p, k_stride_t, k_stride_h, is_key, D, BLOCK_D)
        v_tile = rows_of(v_cache, page, slot, kv_head, v_stride_p, v_stride_t, v_stride_h, is_key, D, BLOCK_D)
        s = in_base_2(tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee"), scale, softcap, HAS_SOFTCAP)
        s = tl.where(is_key[None, :] & sees(at_q, at_k, window, sink, HAS_WINDOW), s, float("-inf"))
        p, rescale, m, total = online_softmax(s, m, total)
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc * rescale[:, None], input_precision="ieee")

    o, log_sum = normalised(acc, m, total)
    out_at = token[:, None] * out_stride_t + head * out_stride_h + d[None, :]
    tl.store(out + out_at, o.to(out.dtype.element_ty), mask=in_q)
    tl.store(lse + head * lse_stride_h + token, log_sum, mask=rows < length)


def launch(
    q, k_cache, v_cache, block_table, cu_q, seq_lens, idx, cnt, out, lse,
    *, window, sink, scale, softcap, block_q, block_kv, tile,
) -> None:  # fmt: skip
    """Start the kernel on what `sparse_prefill` has checked; `tile` is a row of the tuned table. Fills out and lse."""
    page, kv_heads, head_dim = k_cache.shape[1:]
    block_m = min(tile["block_m"], block_q)
    grid = (idx.shape[1] * (block_q // block_m) * q.shape[1],)
    sparse_prefill_kernel[grid](
        q, k_cache, v_cache, block_table, cu_q, seq_lens, idx, cnt, out, lse,
        q.stride(0), q.stride(1), *k_cache.stride()[:3], *v_cache.stride()[:3],
        block_table.stride(0), idx.stride(0), idx.stride(1), cnt.stride(0), out.stride(0), out.stride(1), lse.stride(0),
        k_cache.shape[0], block_table.shape[1], idx.shape[1] // seq_lens.shape[0], idx.shape[2],
        scale, softcap, window, sink,
        HEADS=q.shape[1], GROUP=q.shape[1] // kv_heads, PAGE=page, D=head_dim, BLOCK_D=triton.next_power_of_2(head_dim),
        BLOCK_Q=block_q, BLOCK_KV=block_kv, BLOCK_M=block_m, BLOCK_N=min(tile["block_n"], block_kv),
        HAS_WINDOW=window > 0, HAS_SOFTCAP=softcap > 0,
        num_warps=tile["num_warps"], num_stages=tile["num_stages"],
    )  # fmt: skip
