"""The prefill kernel as models launch it, for compiling ahead of time: every row of the table, and what varies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.prefill import HEAD_DIMS, _kernel
from headrace.kernels.variant import Variant

_INDEX: Final = ("block_table", "cu_q", "seq_lens", "idx", "cnt")
_POINTERS: Final = ("q", "k_cache", "v_cache", *_INDEX, "out", "lse")
_ALIGNED_STRIDES: Final = (
    "q_stride_t", "q_stride_h", "k_stride_p", "k_stride_t", "k_stride_h", "v_stride_p", "v_stride_t", "v_stride_h",
    "out_stride_t", "out_stride_h",
)  # fmt: skip
_TALL: Final = 64
"""Rows of a tile from which the matrix units of a whole warp group are used."""


@dataclass(frozen=True, slots=True)
class _Model:
    """What a model and its cache ask of the kernel."""

    head_dim: int
    group: int
    page: int
    dtype: str = "bf16"
    block_kv: int = 64
    has_window: bool = False
    has_softcap: bool = False


_MODELS: Final = (
    _Model(128, 4, 16),
    _Model(64, 3, 16),
    _Model(128, 8, 64, has_window=True),
    _Model(128, 7, 32, "fp16", block_kv=32, has_window=True, has_softcap=True),
    _Model(96, 1, 16),
)
_SHORT: Final = 2
"""How many of them are compiled for tiles of fewer than _TALL rows as well."""


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernel for each model and each row of the table of `arch` that applies to it."""
    return tuple(
        _variant(model, row)
        for row in tuned.table(arch)["sparse_prefill"]
        for model in (_MODELS if row["block_m"] >= _TALL else _MODELS[:_SHORT])
        if row.get("max_d", max(HEAD_DIMS)) >= model.head_dim
    )


def _variant(model: _Model, row: Mapping[str, int]) -> Variant:
    types = dict.fromkeys(("q", "k_cache", "v_cache"), f"*{model.dtype}")
    types |= dict.fromkeys(_INDEX, "*i32")
    types |= {"out": f"*{model.dtype}", "lse": "*fp32"}
    order = [name for name in _kernel.sparse_prefill_kernel.arg_names if name not in types and name.islower()]
    types |= {name: "fp32" if name in {"scale", "softcap"} else "i32" for name in order}
    block_n = min(row["block_n"], model.block_kv)
    return Variant(
        op="sparse_prefill",
        kernel=_kernel.sparse_prefill_kernel,
        role="prefill" if row["block_m"] >= _TALL else "decode",
        shape=f"D={model.head_dim} G={model.group} page={model.page} {model.dtype} {row['block_m']}x{block_n}"
        f"{' window' * model.has_window}{' softcap' * model.has_softcap}",
        types=types,
        constants={
            "HEADS": 8 * model.group,
            "GROUP": model.group,
            "PAGE": model.page,
            "D": model.head_dim,
            "BLOCK_D": 1 << (model.head_dim - 1).bit_length(),
            "BLOCK_Q": row["block_m"],
            "BLOCK_KV": model.block_kv,
            "BLOCK_M": row["block_m"],
            "BLOCK_N": block_n,
            "HAS_WINDOW": model.has_window,
            "HAS_SOFTCAP": model.has_softcap,
        },
        aligned=frozenset((*_POINTERS, *_ALIGNED_STRIDES)),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
        weights=frozenset({"k_cache", "v_cache"}),
    )
