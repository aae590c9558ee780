"""The Triton kernel of `merge_parts`: one program is one row, all of its parts at once."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["parts"])
def merge_parts_kernel(
    # the parts' o [N, parts, D] and lse [N, parts]; what comes of them, out [N, D] and out_lse [N]
    o, lse, out, out_lse, o_stride_n, o_stride_s, lse_stride_n, lse_stride_s, parts,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    s = tl.arange(0, BLOCK_S)
    d = tl.arange(0, BLOCK_D)
    part_lse = tl.load(lse + row * lse_stride_n + s * lse_stride_s, mask=s < parts, other=float("-inf"))  # [S]
    most = tl.max(part_lse, 0)
    base = tl.where(most == float("-inf"), 0.0, most)
    weight = tl.exp(part_lse - base)
    total = tl.sum(weight, 0)
    # a part of no weight is not even read: nothing says what stands there
    has_weight = (s < parts) & (weight != 0.0)
    part_at = row * o_stride_n + s.to(tl.int64)[:, None] * o_stride_s + d[None, :]
    part = tl.load(o + part_at, mask=has_weight[:, None] & (d < D)[None, :], other=0.0).to(tl.float32)  # [S, D]
    is_empty = total == 0.0
    merged = tl.sum(part * weight[:, None], 0) / tl.where(is_empty, 1.0, total)
    tl.store(out + row * D + d, merged.to(out.dtype.element_ty), mask=d < D)
    tl.store(out_lse + row, tl.where(is_empty, float("-inf"), base + tl.log(tl.where(is_empty, 1.0, total))))


def launch(o, lse, out, out_lse, *, tile) -> None:
    """Start the kernel on what `merge_parts` has checked; `tile` is a row of the tuned table. Fills out and out_lse."""
    rows, parts, head_dim = o.shape
    merge_parts_kernel[(rows,)](
        o, lse, out, out_lse, o.stride(0), o.stride(1), lse.stride(0), lse.stride(1), parts,
        D=head_dim, BLOCK_D=triton.next_power_of_2(head_dim), BLOCK_S=triton.next_power_of_2(parts),
        num_warps=tile["num_warps"], num_stages=tile["num_stages"],
    )  # fmt: skip
