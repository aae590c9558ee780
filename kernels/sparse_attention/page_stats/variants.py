"""The kernel of page statistics as it is launched, for compiling it ahead of time."""

from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.page_stats import _kernel
from headrace.kernels.sparse_attention.page_stats._launch import OP, rows
from headrace.kernels.variant import Variant

HEAD_DIM: Final = 128
_TYPES: Final = {
    "k_ptr": "*bf16", "scale_ptr": "*fp32", "slots_ptr": "*i64", "meta_ptr": "*bf16", "k_p": "i32", "k_t": "i32",
    "k_h": "i32", "scale_p": "i32", "scale_t": "i32", "scale_h": "i32", "meta_p": "i32", "meta_s": "i32",
    "meta_h": "i32", "tokens": "i32", "P": "i32", "D": "i32",
}  # fmt: skip
_LOOSE: Final = {"tokens", "P", "scale_t", "scale_h"}


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernel at each row of its table and each length of page, with mean and with min and max."""
    return tuple(
        Variant(
            op=OP,
            kernel=_kernel.page_stats_kernel,
            role="index",
            shape=f"{'int8, ' if int8 else ''}pages of {page}, D{HEAD_DIM}, {'min and max' if minmax else 'mean'}",
            types=_TYPES | ({"k_ptr": "*i8"} if int8 else {}),
            constants={
                "PAGE": page,
                "BLOCK_T": rows(row["block_t"], is_int8=int8),
                "BLOCK_D": HEAD_DIM,
                "MINMAX": minmax,
                "SCALED": int8,
            },
            aligned=frozenset(_TYPES) - _LOOSE,
            num_warps=row["num_warps"],
            num_stages=row["num_stages"],
            weights=frozenset({"k_ptr"}),
        )
        for row in tuned.table(arch)[OP]
        for page, minmax, int8 in (
            (16, False, False),
            (64, False, False),
            (64, True, False),
            (64, False, True),
            (64, True, True),
        )
    )
