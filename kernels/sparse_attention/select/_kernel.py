"""Triton kernels of choosing blocks: pool the queries of a row, score its blocks, keep the best in order.

A row is one block of queries of one sequence (`patterns/lists.py`); in DECODE it is one query, the last of its
sequence. H = Hkv * G. All addresses are 64-bit, all sums float32.
"""

import triton
import triton.language as tl

# Half of what float32 holds, so that the difference of two scores is finite.
_LOWEST = tl.constexpr(-1.7e38)
_HIGHEST = tl.constexpr(1.7e38)
_FORCED_KEY = tl.constexpr(2147483647)
_HIDDEN_KEY = tl.constexpr(-2147483648)


@triton.jit
def _positions(cu_ptr, seq_ptr, b, j, BLOCK_Q: tl.constexpr, DECODE: tl.constexpr):
    # First and last position of row j (scalar or vector) of sequence b; last is -1 where there is no such row.
    seq_len = tl.load(seq_ptr + b)
    if DECODE:
        first = seq_len - 1 + j * 0
        last = first
    else:
        start = tl.load(cu_ptr + b)
        queries = tl.load(cu_ptr + b + 1) - start
        first = seq_len - queries + j * BLOCK_Q
        last = tl.where(j * BLOCK_Q < queries, seq_len - queries + tl.minimum(j * BLOCK_Q + BLOCK_Q, queries) - 1, -1)
    return seq_len, first, last


@triton.jit
def _sane(scores):
    # A NaN counts as the lowest score; what is larger than a score may be is cut to that.
    scores = tl.where(scores == scores, scores, _LOWEST)  # noqa: PLR0124  (false for NaN alone)
    return tl.minimum(tl.maximum(scores, _LOWEST), _HIGHEST)


@triton.jit(do_not_specialize=["rows"])
def pool_kernel(
    q_ptr,  # [T, H, D]
    cu_ptr,  # i32 [B+1]
    pooled_ptr,  # [B * rows, S, H, D], S = 2 (mean of the positive parts, of the negative parts) where SPLIT
    q_t,
    q_h,
    H,
    D,
    rows,
    BLOCK_Q: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
    SPLIT: tl.constexpr,
):
    row = tl.program_id(0)
    h = tl.program_id(1)
    b = row // rows
    begin = tl.load(cu_ptr + b) + (row % rows) * BLOCK_Q
    end = tl.minimum(begin + BLOCK_Q, tl.load(cu_ptr + b + 1))
    d = tl.arange(0, BLOCK_D)
    high = tl.zeros([BLOCK_D], tl.float32)
    low = tl.zeros([BLOCK_D], tl.float32)
    for step in range(0, BLOCK_Q, BLOCK_T):
        t = begin + step + tl.arange(0, BLOCK_T)
        mask = (t < end)[:, None] & (d < D)[None, :]
        at = q_ptr + t.to(tl.int64)[:, None] * q_t + h.to(tl.int64) * q_h + d[None, :]
        q = tl.load(at, mask=mask, other=0.0).to(tl.float32)
        if SPLIT:
            # Chosen by comparison, so that a NaN stays in both parts.
            high += tl.sum(tl.where(q < 0, 0.0, q), 0)
            low += tl.sum(tl.where(q > 0, 0.0, q), 0)
        else:
            high += tl.sum(q, 0)
    number = tl.maximum(end - begin, 1).to(tl.float32)
    stride: tl.constexpr = 2 if SPLIT else 1
    out = pooled_ptr + (row.to(tl.int64) * stride * H + h) * D + d
    tl.store(out, (high / number).to(pooled_ptr.dtype.element_ty), mask=d < D)
    if SPLIT:
        tl.store(out + H * D, (low / number).to(pooled_ptr.dtype.element_ty), mask=d < D)


@triton.jit
def _queries(q_at, q_s, mask, dtype, MINMAX: tl.constexpr, DECODE: tl.constexpr):
    # The queries to multiply with means, or their parts above and below 0; a NaN is in both.
    high = tl.load(q_at, mask=mask, other=0.0)
    low = high
    if MINMAX and DECODE:
        low = tl.where(high > 0, 0.0, high.to(tl.float32))
        high = tl.where(high < 0, 0.0, high.to(tl.float32))
    elif MINMAX:
        low = tl.load(q_at + q_s, mask=mask, other=0.0)
    return high.to(dtype), low.to(dtype)


@triton.jit
def _add_page(acc, high, low, at, meta_s, has, d_mask, weight, scale, MINMAX: tl.constexpr):
    # acc [M, N] with the scores of one page of each block; at: addresses [D, N] of its statistics.
    mask = has[None, :] & d_mask[:, None]
    least = tl.load(at, mask=mask, other=0.0)
    if MINMAX:
        most = tl.load(at + meta_s, mask=mask, other=0.0)
        bound = tl.dot(low, least, input_precision="ieee")
        bound = tl.dot(high, most, bound, input_precision="ieee")
        return tl.maximum(acc, tl.where(has[None, :], _sane(bound * scale), _LOWEST))
    return acc + tl.dot(high, least, input_precision="ieee") * (weight * scale)[None, :]


@triton.jit(do_not_specialize=["rows", "cap", "table_pages"])
def score_kernel(
    q_ptr,  # DECODE: queries [B, H, D]; else what pool_kernel wrote
    meta_ptr,  # [P, Hkv, D], or [P, 2, Hkv, D] where MINMAX
    table_ptr,  # i32 [B, table_pages]
    cu_ptr,
    seq_ptr,  # i32 [B]
    scores_ptr,  # f32 [Hkv, B * rows, score_r]
    scale,
    q_r,  # strides of q: row, part, head
    q_s,
    q_h,
    meta_p,  # strides of meta: page, part, head
    meta_s,
    meta_h,
    table_b,
    score_h,
    score_r,
    P,
    D,
    rows,  # a sequence
    cap,  # blocks a row can have
    table_pages,
    G: tl.constexpr,
    GROUP: tl.constexpr,  # G rounded up to a power of two
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,  # a block
    BLOCK_Q: tl.constexpr,
    BLOCK_M: tl.constexpr,  # (row, head of the group) pairs
    BLOCK_N: tl.constexpr,  # blocks
    BLOCK_D: tl.constexpr,
    MINMAX: tl.constexpr,
    DECODE: tl.constexpr,
):
    ROWS: tl.constexpr = BLOCK_M // GROUP
    b = (tl.program_id(0) // tl.cdiv(rows, ROWS)).to(tl.int64)
    j0 = tl.program_id(0) % tl.cdiv(rows, ROWS) * ROWS
    h = tl.program_id(2).to(tl.int64)
    j = j0 + tl.arange(0, ROWS)
    seq_len, _, last = _positions(cu_ptr, seq_ptr, b, j, BLOCK_Q, DECODE)
    visible = tl.where(j < rows, tl.minimum((last + PAGE * PAGES) // (PAGE * PAGES), cap), 0)
    if tl.program_id(1) * BLOCK_N >= tl.max(visible, 0):
        return
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    g = tl.arange(0, BLOCK_M) % GROUP
    jm = j0 + tl.arange(0, BLOCK_M) // GROUP
    d = tl.arange(0, BLOCK_D)
    q_at = q_ptr + (b * rows + jm)[:, None] * q_r + (h * G + g)[:, None] * q_h + d[None, :]
    mask = ((jm < rows) & (g < G))[:, None] & (d < D)[None, :]
    high, low = _queries(q_at, q_s, mask, meta_ptr.dtype.element_ty, MINMAX, DECODE)
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32) + (_LOWEST if MINMAX else 0.0)
    block_len = tl.maximum(tl.minimum(seq_len - n * (PAGE * PAGES), PAGE * PAGES), 1).to(tl.float32)
    for c in range(PAGES):
        filled = tl.minimum(tl.maximum(seq_len - (n * PAGES + c) * PAGE, 0), PAGE)
        page = tl.load(table_ptr + b * table_b + n * PAGES + c, (filled > 0) & (n * PAGES + c < table_pages), -1)
        has = (page >= 0) & (page < P)
        at = meta_ptr + page.to(tl.int64)[None, :] * meta_p + h * meta_h + d[:, None]
        acc = _add_page(acc, high, low, at, meta_s, has, d < D, filled.to(tl.float32) / block_len, scale, MINMAX)
    best = tl.max(tl.reshape(tl.where((g < G)[:, None], _sane(acc), _LOWEST), [ROWS, GROUP, BLOCK_N]), 1)
    out = scores_ptr + h * score_h + (b * rows + j)[:, None] * score_r + n[None, :]
    tl.store(out, best, mask=n[None, :] < visible[:, None])


@triton.jit
def _threshold(key, m):
    # The largest t with at least m keys >= t, found bit by bit.
    t = tl.where(tl.sum((key >= 0).to(tl.int32), 0) >= m, 0, _HIDDEN_KEY)
    for i in range(31):
        higher = t + (1 << (30 - i))
        t = tl.where(tl.sum((key >= higher).to(tl.int32), 0) >= m, higher, t)
    return t


@triton.jit
def _number_for_mass(key, weight, share):
    # How many of the best keys reach `share` of all weight; equal keys have equal weight, forced ones apart.
    target = share * tl.sum(weight, 0)
    t = tl.where(tl.sum(tl.where(key >= 0, weight, 0.0), 0) >= target, 0, _HIDDEN_KEY)
    for i in range(31):
        higher = t + (1 << (30 - i))
        t = tl.where(tl.sum(tl.where(key >= higher, weight, 0.0), 0) >= target, higher, t)
    above = tl.sum(tl.where(key > t, weight, 0.0), 0)
    each = tl.max(tl.where(key == t, weight, 0.0), 0)
    equal = tl.sum((key == t).to(tl.int32), 0)
    wanted = tl.ceil((target - above) / tl.maximum(each, 1e-30)).to(tl.int32)
    return tl.sum((key > t).to(tl.int32), 0) + tl.minimum(tl.maximum(wanted, 1), equal)


@triton.jit
def _key(score):
    # Equal floats get equal keys: -0 is made +0, then the bits of negatives are turned so that integers order them.
    bits = tl.where(score == 0, 0.0, score).to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@triton.jit
def _best(key, sees, number):
    # The `number` highest keys; of equal ones those on the left.
    t = _threshold(key, number)
    above = sees & (key > t)
    equal = sees & (key == t)
    left = number - tl.sum(above.to(tl.int32), 0)
    return above | (equal & (tl.cumsum(equal.to(tl.int32), 0) <= left))


@triton.jit(do_not_specialize=["budget", "sink", "local", "share", "rows", "cap", "max_listed"])
def keep_kernel(
    scores_ptr,  # f32 [Hkv, B * rows, score_r]
    table_ptr,  # i32 [B, pages]
    cu_ptr,
    seq_ptr,
    idx_ptr,  # i32 [.., max_listed]: block numbers, in DECODE physical pages
    cnt_ptr,  # i32: blocks listed, in DECODE tokens in the pages listed
    score_h,
    score_r,
    table_b,
    idx_h,
    idx_r,
    cnt_h,
    cnt_r,
    budget,
    sink,
    local,
    share,
    rows,
    cap,
    max_listed,
    BLOCK_Q: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TOP_P: tl.constexpr,
    DECODE: tl.constexpr,
):
    row = tl.program_id(0)
    h = tl.program_id(1).to(tl.int64)
    b = row // rows
    seq_len, first, last = _positions(cu_ptr, seq_ptr, b, row % rows, BLOCK_Q, DECODE)
    seq_len = tl.minimum(seq_len, cap * BLOCK_KV)
    visible = tl.minimum((last + BLOCK_KV) // BLOCK_KV, cap)
    n = tl.arange(0, BLOCK_N)
    out = idx_ptr + h * idx_h + row.to(tl.int64) * idx_r
    if visible <= 0:
        tl.store(out + n, tl.full([BLOCK_N], -1, tl.int32), mask=n < max_listed)
        tl.store(cnt_ptr + h * cnt_h + row.to(tl.int64) * cnt_r, 0)
        return
    sees = n < visible
    score = _sane(tl.load(scores_ptr + h * score_h + row.to(tl.int64) * score_r + n, mask=sees, other=0.0))
    forced = sees & ((n < sink) | (n > tl.minimum(first, seq_len - 1) // BLOCK_KV - local))
    key = tl.where(forced, _FORCED_KEY, tl.where(sees, _key(score), _HIDDEN_KEY))
    least = tl.sum(forced.to(tl.int32), 0)
    number = tl.minimum(tl.maximum(budget, least), visible)
    if TOP_P:
        highest = tl.max(tl.where(sees, score, _LOWEST), 0)
        weight = tl.where(sees, tl.exp(tl.minimum(score - highest, 0.0)), 0.0)
        number = tl.minimum(number, tl.maximum(_number_for_mass(key, weight, share), least))
    keep = _best(key, sees, number)
    place = tl.cumsum(keep.to(tl.int32), 0) - 1
    listed = n
    if DECODE:
        listed = tl.load(table_ptr + b.to(tl.int64) * table_b + n, mask=keep, other=-1)
    tl.store(out + place, listed, mask=keep & (place < max_listed))
    tl.store(out + n, tl.full([BLOCK_N], -1, tl.int32), mask=(n >= number) & (n < max_listed))
    if DECODE:
        # Tokens, not pages: the newest page is always listed, and last.
        number = number * BLOCK_KV - (visible * BLOCK_KV - seq_len)
    tl.store(cnt_ptr + h * cnt_h + row.to(tl.int64) * cnt_r, number)
