"""The weighted sum over experts as models launch it."""

from collections.abc import Mapping

from headrace.kernels import tuned
from headrace.kernels.expert_routing.fused import _kernel
from headrace.kernels.variant import Variant


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the sum for each row of the table and each number of experts a token goes to."""
    rows = tuned.table(arch)["combine"]
    return tuple(_variant(row, dtype, top_k) for row in rows for dtype in ("bf16", "fp16") for top_k in (2, 8))


def _variant(row: Mapping[str, int], dtype: str, top_k: int) -> Variant:
    types = {"each": f"*{dtype}", "w": "*fp32", "ids": "*i32", "out": f"*{dtype}", "H": "i32"}
    return Variant(
        op="fused_experts",
        kernel=_kernel.combine_kernel,
        role="index",
        shape=f"sum over {top_k}, {dtype}, {row['block_h']} columns a program",
        types=types,
        constants={"TOP_K": top_k, "BLOCK_H": row["block_h"]},
        aligned=frozenset(types),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
    )
