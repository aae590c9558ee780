"""The grouped expert GEMM: one program makes one tile of one block of rows that all go to one expert.

Integer weights are brought to the type of `a` and scaled before the product, in registers. Four-bit weights are read
as 32-bit words, and two of them become floats with one mask: 2^7 + q (bfloat16) or 2^10 + q (float16) is a bit
pattern whose low bits are q. A decode tile orders K so that the bytes a thread read are the ones its matrix
instruction wants, and orders `a` alike; a sum over K does not mind.
"""

import triton
import triton.language as tl


@triton.jit
def _permuted(tile, ROWS: tl.constexpr, BLOCK_K: tl.constexpr, INT4: tl.constexpr):
    # [ROWS, 4 lanes, steps, OWN] -> [ROWS, steps, 4 lanes, OWN]: what a lane read in one go stays its own.
    # OWN is how many neighbours the compiler gives a lane at once, by the width of what was loaded.
    OWN: tl.constexpr = 2 if INT4 else 4
    return tile.reshape(ROWS, 4, BLOCK_K // (4 * OWN), OWN).permute(0, 2, 1, 3).reshape(ROWS, BLOCK_K)


@triton.jit
def _halves(pair, kind: tl.constexpr):
    # pair int32: one nibble in the low bits of each half -> [..., 2], both as floats of `kind`, 2^7 or 2^10 too large
    if kind == tl.bfloat16:
        bits = pair | 0x43004300
        low = bits.to(tl.int16).to(kind, bitcast=True)
        high = (bits >> 16).to(tl.int16).to(kind, bitcast=True)
    elif kind == tl.float16:
        bits = pair | 0x64006400
        low = bits.to(tl.int16).to(kind, bitcast=True)
        high = (bits >> 16).to(tl.int16).to(kind, bitcast=True)
    else:
        low = (pair & 0xFFFF).to(kind)
        high = (pair >> 16).to(kind)
    return tl.join(low, high)


@triton.jit
def _nibbles(words, kind: tl.constexpr, ROWS: tl.constexpr, BLOCK_K: tl.constexpr):
    # words int32 [ROWS, BLOCK_K / 8], k = 8 word + x + 2 y + 4 h -> [ROWS, BLOCK_K], per word in the order (x, y, h)
    first = tl.join(_halves(words & 0x000F000F, kind), _halves((words >> 8) & 0x000F000F, kind))
    second = tl.join(_halves((words >> 4) & 0x000F000F, kind), _halves((words >> 12) & 0x000F000F, kind))
    # join stacks last: [ROWS, words, h, y, x]
    return tl.join(first, second).permute(0, 1, 4, 3, 2).reshape(ROWS, BLOCK_K)


@triton.jit
def _within_words(tile, ROWS: tl.constexpr, BLOCK_K: tl.constexpr):
    # per eight neighbours: (h, y, x) <-> (x, y, h); its own inverse
    return tile.reshape(ROWS, BLOCK_K // 8, 2, 2, 2).permute(0, 1, 4, 3, 2).reshape(ROWS, BLOCK_K)


@triton.jit
def _groups(s_at, z_at, real, first, groups, SLOTS: tl.constexpr, HAS_ZP: tl.constexpr):
    # scales and zero points of `first` and its neighbours: both [BLOCK_N, SLOTS]
    at = first + tl.arange(0, SLOTS)
    has = real[:, None] & (at < groups)[None, :]
    scales = tl.load(s_at[:, None] + at[None, :], mask=has, other=0.0)
    zeros = scales
    if HAS_ZP:
        zeros = tl.load(z_at[:, None] + at[None, :], mask=has, other=0)
    return scales, zeros


@triton.jit
def _restored(
    q, scales, zeros, kind: tl.constexpr, INT4: tl.constexpr, GROUP: tl.constexpr, HAS_ZP: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    # q [BLOCK_N, BLOCK_K or words of it] -> (q - zero) * scale in `kind`, [BLOCK_N, BLOCK_K]
    bias: tl.constexpr = (128.0 if kind == tl.bfloat16 else 1024.0 if kind == tl.float16 else 0.0) if INT4 else 0.0
    middle: tl.constexpr = bias + 8.0
    if INT4:
        q = _nibbles(q, kind, BLOCK_N, BLOCK_K)
    values = q.to(kind).reshape(BLOCK_N, SLOTS, BLOCK_K // SLOTS)
    if HAS_ZP:
        values = values - (zeros.to(kind) + bias)[:, :, None]
    elif INT4:
        values = values - middle
    if GROUP > 0:
        values = values * scales.to(kind)[:, :, None]
    return values.reshape(BLOCK_N, BLOCK_K)


@triton.jit
def _sum(
    a_at, w_at, s_at, z_at, live, real, K, row_units,
    INTEGER: tl.constexpr, INT4: tl.constexpr, GROUP: tl.constexpr, HAS_ZP: tl.constexpr, PERMUTE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    # a_at [BLOCK_M, BLOCK_K], w_at [BLOCK_N, BLOCK_K or words of it]: the first step -> f32 [BLOCK_M, BLOCK_N]
    kind: tl.constexpr = a_at.dtype.element_ty
    UNITS: tl.constexpr = BLOCK_K // 8 if INT4 else BLOCK_K
    SLOTS: tl.constexpr = BLOCK_K // GROUP if (GROUP > 0 and GROUP < BLOCK_K) else 1
    groups = K // GROUP if GROUP > 0 else 1
    k, unit = tl.arange(0, BLOCK_K), tl.arange(0, UNITS)
    if INTEGER:
        scales, zeros = _groups(s_at, z_at, real, 0, groups, SLOTS, HAS_ZP)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(tl.cdiv(K, BLOCK_K)):
        x = tl.load(a_at + step * BLOCK_K, mask=live[:, None] & (k < K - step * BLOCK_K)[None, :], other=0.0)
        here = real[:, None] & (unit < row_units - step * UNITS)[None, :]
        tile = tl.load(w_at + step * UNITS, mask=here, other=0)
        if INTEGER:
            now, zero = scales, zeros
            if GROUP > 0:  # one step ahead, because loads this narrow are not pipelined
                scales, zeros = _groups(s_at, z_at, real, (step + 1) * BLOCK_K // GROUP, groups, SLOTS, HAS_ZP)
            tile = _restored(tile, now, zero, kind, INT4, GROUP, HAS_ZP, BLOCK_N, BLOCK_K, SLOTS)
        if PERMUTE:
            x = _permuted(_within_words(x, BLOCK_M, BLOCK_K) if INT4 else x, BLOCK_M, BLOCK_K, INT4)
            tile = _permuted(tile, BLOCK_N, BLOCK_K, INT4)
        elif INT4:
            tile = _within_words(tile, BLOCK_N, BLOCK_K)
        acc = tl.dot(x, tile.T, acc, input_precision="ieee")
    if INTEGER and GROUP == 0:  # one scale a row of the weight commutes with the sum
        acc *= tl.load(s_at, mask=real, other=0.0).to(tl.float32)[None, :]
    return acc


@triton.jit
def _tile(pid, num_blocks, tiles_n, GROUP_M: tl.constexpr):
    # programs go through GROUP_M blocks for one column of tiles, then for the next: neighbours share a weight
    in_group = GROUP_M * tiles_n
    first = (pid // in_group) * GROUP_M
    blocks = min(num_blocks - first, GROUP_M)
    return first + (pid % in_group) % blocks, (pid % in_group) // blocks


@triton.jit(do_not_specialize=["rows", "num_blocks"])  # they change with every batch: one compile serves all
def moe_gemm_kernel(
    a, w, scale, zp, mul_weight, out,
    # a [rows / TOP_K, K]; w [experts, N, row_units]: floats, int8, or int32 words of eight nibbles;
    # scale, zp (uint8) [experts, N, K / GROUP], one group where GROUP is 0; mul_weight [rows] f32;
    # out [rows, N], or [rows, N / 2] with SWIGLU
    sorted_ids, expert_ids, num_post,  # i32 [num_blocks * BLOCK_M], [num_blocks], [1]
    N, K, row_units, rows, experts, num_blocks,
    stride_am, stride_we, stride_wn, stride_se, stride_sn, stride_ze, stride_zn, stride_om,
    TOP_K: tl.constexpr, INTEGER: tl.constexpr, INT4: tl.constexpr, GROUP: tl.constexpr, HAS_ZP: tl.constexpr,
    SWIGLU: tl.constexpr, HAS_MUL: tl.constexpr, PERMUTE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    block, tile_n = _tile(tl.program_id(0), num_blocks, tl.cdiv(N, BLOCK_N), GROUP_M)
    if block * BLOCK_M >= tl.load(num_post):
        return
    expert = tl.load(expert_ids + block).to(tl.int64)
    if (expert < 0) | (expert >= experts):
        return
    ids = tl.load(sorted_ids + block * BLOCK_M + tl.arange(0, BLOCK_M))  # [BLOCK_M]
    live = (ids >= 0) & (ids < rows)
    column = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)  # [BLOCK_N]
    real = column < N
    row = column
    if SWIGLU:  # gate and up rows take turns, so that one product makes both and neighbours pair up
        row = column // 2 + (column % 2) * (N // 2)
    row = row.to(tl.int64)
    a_at = a + (ids // TOP_K).to(tl.int64)[:, None] * stride_am + tl.arange(0, BLOCK_K)[None, :]
    unit = tl.arange(0, BLOCK_K // 8 if INT4 else BLOCK_K)
    w_at = w + expert * stride_we + row[:, None] * stride_wn + unit[None, :]
    s_at, z_at = scale + expert * stride_se + row * stride_sn, zp + expert * stride_ze + row * stride_zn
    acc = _sum(
        a_at, w_at, s_at, z_at, live, real, K, row_units,
        INTEGER, INT4, GROUP, HAS_ZP, PERMUTE, BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    if SWIGLU:
        gate, up = acc.reshape(BLOCK_M, BLOCK_N // 2, 2).split()
        acc = gate / (1.0 + tl.exp(-gate)) * up
        column = tile_n * (BLOCK_N // 2) + tl.arange(0, BLOCK_N // 2)
        real = column < N // 2
    if HAS_MUL:
        acc *= tl.load(mul_weight + ids, mask=live, other=0.0)[:, None]
    o_at = out + ids.to(tl.int64)[:, None] * stride_om + column[None, :]
    tl.store(o_at, acc.to(out.dtype.element_ty), mask=live[:, None] & real[None, :])
