"""The cases that are timed on a GPU, by op, at the sizes of models that exist; built only where they are run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from headrace.kernels.inspect import cases
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.inspect.roofline import HEADS, MIXTRAL, QWEN3_30B

Builder = Callable[[Where], Case]
DEEP: Final = 122_880
CHUNK: Final = 8192
LONG: Final = 131_072
TABLES: Final[Mapping[str, Sequence[str]]] = {
    "moe_gate": ("moe_gate",),
    "moe_align": ("moe_align",),
    "moe_gemm": ("moe_gemm",),
    "fused_experts": ("fused_experts", "combine"),
    "select_blocks": ("select_pool", "select_score", "select_keep"),
    "sparse_prefill": ("sparse_prefill",),
    "sparse_decode": ("sparse_decode", "merge_parts"),
}
"""Op -> the tables its kernels look up."""


def builders() -> dict[str, list[Builder]]:
    """Return the cases of every op, as functions that build one on a device, of a type, from a seed."""
    kinds: tuple[cases.Weights, ...] = ("bf16", "int8", "int4")
    return {
        "moe_gate": [_of(cases.gate, tokens, QWEN3_30B) for tokens in (1, 64, 4096)],
        "moe_align": [_of(cases.align, tokens, QWEN3_30B) for tokens in (1, 64, 4096)],
        "moe_gemm": [_of(cases.gate_and_up, tokens, QWEN3_30B, kind) for tokens in (1, 16, 64, 4096) for kind in kinds],
        "fused_experts": [
            *(_of(cases.experts, tokens, QWEN3_30B, kind) for tokens in (1, 16, 64, 4096) for kind in kinds),
            *(_of(cases.experts, tokens, MIXTRAL, kind) for tokens in (1, 16) for kind in ("bf16", "int4")),
        ],
        "select_blocks": [_of(cases.select, CHUNK, before, 0.1, HEADS) for before in (0, DEEP)],
        "sparse_prefill": [
            _of(cases.prefill, CHUNK, before, kept, HEADS) for before in (0, DEEP) for kept in (0.1, 0.5, 1.0)
        ],
        "sparse_decode": [_of(cases.decode, LONG, batch, 4096, HEADS) for batch in (1, 16)],
    }


def _of(build: Callable[..., Case], *sizes: object) -> Builder:
    return partial(_built, build, sizes)


def _built(build: Callable[..., Case], sizes: tuple[object, ...], where: Where) -> Case:
    return build(*sizes, where)
