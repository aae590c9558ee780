"""The decode kernel as models launch it, for compiling ahead of time: every row of the table, and what varies."""

from dataclasses import dataclass
from typing import Final

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.decode import _kernel
from headrace.kernels.variant import Variant

_POINTERS: Final = ("q", "k_cache", "v_cache", "k_scale", "v_scale", "pages", "n_valid", "out", "lse")
_ALIGNED_STRIDES: Final = (
    "q_stride_b", "q_stride_h", "k_stride_p", "k_stride_t", "k_stride_h", "v_stride_p", "v_stride_t", "v_stride_h",
)  # fmt: skip
_LEAST_M: Final = 16
_KV_HEADS: Final = 8


@dataclass(frozen=True, slots=True)
class _Model:
    """What a model and its cache ask of the kernel."""

    head_dim: int
    group: int
    page: int
    dtype: str = "bf16"
    has_int8_cache: bool = False
    is_split: bool = True
    has_softcap: bool = False


_MODELS: Final = (
    _Model(128, 4, 16),
    _Model(128, 8, 64, is_split=False),
    _Model(128, 32, 16, "fp16", has_softcap=True),
    _Model(96, 1, 16),
    _Model(64, 3, 32),
    _Model(128, 4, 16, has_int8_cache=True),
    _Model(64, 8, 16, has_int8_cache=True),
)


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the kernel for each model, at the row of the table of `arch` that it takes."""
    return tuple(_variant(model, arch) for model in _MODELS)


def _variant(model: _Model, arch: str) -> Variant:
    row = tuned.choose("sparse_decode", arch, d=model.head_dim, bytes=1 if model.has_int8_cache else 2)
    types = {"q": f"*{model.dtype}"}
    types |= dict.fromkeys(("k_cache", "v_cache"), "*i8" if model.has_int8_cache else f"*{model.dtype}")
    types |= dict.fromkeys(("k_scale", "v_scale", "lse"), "*fp32") | dict.fromkeys(("pages", "n_valid"), "*i32")
    types |= {"out": "*fp32" if model.is_split else f"*{model.dtype}"}
    rest = [name for name in _kernel.sparse_decode_kernel.arg_names if name not in types and name.islower()]
    types |= {name: "fp32" if name in {"scale", "softcap"} else "i32" for name in rest}
    return Variant(
        op="sparse_decode",
        kernel=_kernel.sparse_decode_kernel,
        role="decode",
        shape=f"D={model.head_dim} G={model.group} page={model.page} {model.dtype}"
        f"{' int8 cache' * model.has_int8_cache}{' split' * model.is_split}{' softcap' * model.has_softcap}",
        types=types,
        constants={
            "KV_HEADS": _KV_HEADS,
            "GROUP": model.group,
            "PAGE": model.page,
            "D": model.head_dim,
            "BLOCK_D": 1 << (model.head_dim - 1).bit_length(),
            "BLOCK_M": max(_LEAST_M, 1 << (model.group - 1).bit_length()),
            "BLOCK_N": row["block_n"],
            "HAS_SOFTCAP": model.has_softcap,
            "HAS_SCALE": model.has_int8_cache,
        },
        aligned=frozenset((*_POINTERS, *_ALIGNED_STRIDES)),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
        weights=frozenset({"k_cache", "v_cache"}),
    )
