"""The kernel of page statistics as it is launched, for compiling it ahead of time."""

from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.page_stats import _kernel
from headrace.kernels.sparse_attention.page_stats._launch import OP
from headrace.kernels.variant import Variant

HEAD_DIM: Final = 128
_TYPES: Final = {
    "k_ptr": "*bf16", "slots_ptr": "*i64", "meta_ptr": "*bf16", "k_p": "i32", "k_t": "i32", "k_h": "i32",
    "meta_p": "i32", "meta_s": "i32", "meta_h": "i32", "tokens": "i32", "P": "i32", "D": "i32",
}  # fmt: skip
_LOOSE: Final = {"tokens", "P"}


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernel at each row of its table and each length of page, with mean and with min and max."""
    return tuple(
        Variant(
            op=OP,
            kernel=_kernel.page_stats_kernel,
            role="index",
            shape=f"pages of {page}, D{HEAD_DIM}, {'min and max' if minmax else 'mean'}",
            types=_TYPES,
            constants={"PAGE": page, "BLOCK_T": row["block_t"], "BLOCK_D": HEAD_DIM, "MINMAX": minmax},
            aligned=frozenset(_TYPES) - _LOOSE,
            num_warps=row["num_warps"],
            num_stages=row["num_stages"],
            weights=frozenset({"k_ptr"}),
        )
        for row in tuned.table(arch)[OP]
        for page, minmax in ((16, False), (64, False), (64, True))
    )
