"""The grouped product as layers of experts launch it: each row of the tuned table, each width of weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gemm import _kernel
from headrace.kernels.expert_routing.gemm.launch import LARGE_BLOCK_M, OP
from headrace.kernels.quant_layout import BYTE_BITS, INT4_BITS
from headrace.kernels.variant import Variant

BLOCKS_M: Final = (16, 32, 64, 128)
WIDTHS: Final = (4, 8, 16)
_WEIGHTS: Final = {(4, False): "*i32", (4, True): "*i32", (8, False): "*i8", (8, True): "*u8"}
_SIZES: Final = ("N", "K", "row_units", "rows", "experts", "num_blocks")
_STEPS: Final = ("am", "we", "wn", "se", "sn", "ze", "zn", "om")


@dataclass(frozen=True, slots=True)
class _Case:
    """What of a product its compiled code depends on, but for the tile."""

    bits: int
    group: int
    has_zp: bool = False
    swiglu: bool = True
    dtype: str = "bf16"

    @property
    def words(self) -> str:
        """Say it in the report."""
        group = "" if self.bits > BYTE_BITS else f" g{self.group}" if self.group else " per row"
        kind = f"int{self.bits}" if self.bits <= BYTE_BITS else self.dtype
        return f"{kind}{group}{' zp' if self.has_zp else ''} {'gate-up' if self.swiglu else 'down'} {self.dtype}"


def variants(arch: str) -> tuple[Variant, ...]:
    """Return every product that some model's layer makes, for each block of rows it may be cut into."""
    return tuple(_variant(arch, case, block_m) for block_m in BLOCKS_M for case in _cases(block_m))


def _cases(block_m: int) -> Iterator[_Case]:
    yield from (_Case(16, 0), _Case(16, 0, swiglu=False), _Case(8, 0), _Case(8, 128), _Case(8, 128, swiglu=False))
    four = _Case(4, 128)
    yield from (four, replace(four, swiglu=False), replace(four, has_zp=True), replace(four, group=32))
    if block_m in {BLOCKS_M[0], BLOCKS_M[-1]}:
        yield from (_Case(16, 0, dtype="fp16"), replace(four, dtype="fp16"), replace(four, group=64))
        yield from (replace(four, group=0), _Case(8, 128, has_zp=True), replace(four, group=32, has_zp=True))


def _variant(arch: str, case: _Case, block_m: int) -> Variant:
    tile = tuned.choose(OP, arch, block_m=block_m, bits=case.bits)
    float_type = f"*{case.dtype}"
    pointers = {
        "a": float_type,
        "w": _WEIGHTS.get((case.bits, case.has_zp), float_type),
        "scale": float_type,
        "zp": "*u8",
        "mul_weight": "*fp32",
        "out": float_type,
        "sorted_ids": "*i32",
        "expert_ids": "*i32",
        "num_post": "*i32",
    }
    steps = tuple(f"stride_{step}" for step in _STEPS)
    constants: dict[str, Any] = {
        "TOP_K": 8 if case.swiglu else 1,
        "INTEGER": case.bits <= BYTE_BITS,
        "INT4": case.bits == INT4_BITS,
        "GROUP": case.group,
        "HAS_ZP": case.has_zp,
        "SWIGLU": case.swiglu,
        "HAS_MUL": False,
        "PERMUTE": case.bits <= BYTE_BITS and block_m < LARGE_BLOCK_M,
        "BLOCK_M": block_m,
        "BLOCK_N": tile["block_n"],
        "BLOCK_K": tile["block_k"],
        "GROUP_M": tile["group_m"],
    }
    return Variant(
        op=OP,
        kernel=_kernel.moe_gemm_kernel,
        role="decode" if block_m < LARGE_BLOCK_M else "prefill",
        shape=f"{case.words} {block_m}x{tile['block_n']}x{tile['block_k']}",
        types={**pointers, **dict.fromkeys((*_SIZES, *steps), "i32")},
        constants=constants,
        # K / 8 words of a row, and the strides of the weight, are whole sixteens for K a multiple of 128
        aligned=frozenset({*pointers, "N", "K", "row_units", "stride_am", "stride_we", "stride_wn", "stride_om"}),
        num_warps=tile["num_warps"],
        num_stages=tile["num_stages"],
        weights=frozenset({"w"}),
    )
