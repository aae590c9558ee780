"""The merge as `sparse_decode` launches it, for compiling ahead of time."""

from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.merge import _kernel
from headrace.kernels.variant import Variant

_TYPES: Final = {
    "o": "*fp32",
    "lse": "*fp32",
    "out": "*bf16",
    "out_lse": "*fp32",
    "o_stride_n": "i32",
    "o_stride_s": "i32",
    "lse_stride_n": "i32",
    "lse_stride_s": "i32",
    "parts": "i32",
}
_ALIGNED: Final = frozenset({"o", "lse", "out", "out_lse", "o_stride_n", "o_stride_s"})
_SHAPES: Final = ((64, 16), (128, 16), (128, 64))


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the merge for the usual head sizes and counts of parts, in each row of the table of `arch`."""
    return tuple(
        Variant(
            op="merge_parts",
            kernel=_kernel.merge_parts_kernel,
            role="index",
            shape=f"D={head_dim}, {parts} parts",
            types=_TYPES,
            constants={"D": head_dim, "BLOCK_D": head_dim, "BLOCK_S": parts},
            aligned=_ALIGNED,
            num_warps=row["num_warps"],
            num_stages=row["num_stages"],
        )
        for row in tuned.table(arch)["merge_parts"]
        for head_dim, parts in _SHAPES
    )
