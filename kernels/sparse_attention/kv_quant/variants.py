"""The writing kernel as models launch it, for compiling ahead of time."""

from collections.abc import Mapping
from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.kv_quant import _kernel
from headrace.kernels.variant import Variant

_KV_HEADS: Final = 8
_SHAPES: Final = ((128, 16, "bf16"), (64, 64, "fp16"))


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernel for the usual head sizes, in each row of the table of `arch`."""
    return tuple(
        _variant(head_dim, page, dtype, row)
        for row in tuned.table(arch)["write_int8_kv"]
        for head_dim, page, dtype in _SHAPES
    )


def _variant(head_dim: int, page: int, dtype: str, row: Mapping[str, int]) -> Variant:
    types = {"k": f"*{dtype}", "v": f"*{dtype}", "k_cache": "*i8", "v_cache": "*i8"}
    types |= {"k_scale": "*fp32", "v_scale": "*fp32", "slots": "*i64"}
    rest = [name for name in _kernel.write_int8_kv_kernel.arg_names if name not in types and name.islower()]
    strides = [name for name in rest if name.startswith(("k_stride", "v_stride", "kc_stride", "vc_stride"))]
    return Variant(
        op="write_int8_kv",
        kernel=_kernel.write_int8_kv_kernel,
        role="index",
        shape=f"D={head_dim} page={page} {dtype}",
        types=types | dict.fromkeys(rest, "i32"),
        constants={
            "KV_HEADS": _KV_HEADS,
            "PAGE": page,
            "D": head_dim,
            "BLOCK_D": head_dim,
            "BLOCK_T": row["block_t"],
        },
        aligned=frozenset((*types, *strides)),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
        weights=frozenset({"k", "v"}),
    )
