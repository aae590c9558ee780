"""The alignment's kernels as models launch them, for compiling ahead of time: every row of the table."""

from collections.abc import Iterator, Mapping
from typing import Final

import triton

from headrace.kernels import tuned
from headrace.kernels.expert_routing.align import _kernel
from headrace.kernels.variant import Variant

# Experts and rows of a block: decode with an odd number of experts, prefill, and the most of both.
_SHAPES: Final = ((60, 16), (128, 64), (512, 128))
_POINTERS: Final = frozenset({
    "ids_ptr", "sorted_ptr", "owner_ptr", "num_post_ptr", "counts_ptr", "before_ptr", "totals_ptr",
})  # fmt: skip


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernels for each row of the table of `arch` and each shape."""
    return tuple(
        variant
        for row in tuned.table(arch)["moe_align"]
        for experts, block_m in _SHAPES
        for variant in _of_row(row, experts, block_m)
    )


def _of_row(row: Mapping[str, int], experts: int, block_m: int) -> Iterator[Variant]:
    block_e = triton.next_power_of_2(experts)
    tile = {"BLOCK_M": block_m, "BLOCK_N": row["block_n"], "BLOCK_E": block_e}
    ranks = {"BLOCK_J": row["block_j"]}
    fill = {"BLOCK_FILL": row["block_fill"]}
    if "block_p" not in row:
        yield _variant(_kernel.align_kernel, row, experts, tile | ranks | fill)
        return
    yield _variant(_kernel.count_kernel, row, experts, tile | fill)
    yield _variant(_kernel.scan_kernel, row, experts, {"BLOCK_P": row["block_p"], "BLOCK_E": row["block_scan"]})
    yield _variant(_kernel.scatter_kernel, row, experts, tile | ranks)


def _variant(kernel: triton.JITFunction, row: Mapping[str, int], experts: int, constants: Mapping[str, int]) -> Variant:
    arguments = [name for name in kernel.arg_names if name not in constants]
    aligned = set(_POINTERS & set(arguments))
    if experts % 16 == 0 and "E" in arguments:
        aligned.add("E")
    return Variant(
        op="moe_align",
        kernel=kernel,
        role="index",
        shape=f"{experts} experts, {', '.join(f'{name} {value}' for name, value in constants.items())}",
        types={name: "*i32" if name in _POINTERS else "i32" for name in arguments},
        constants=constants,
        aligned=frozenset(aligned),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
    )
