"""The gate's kernel as models launch it, for compiling ahead of time: every row of the table, and what routers ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gate import _kernel
from headrace.kernels.variant import Variant


@dataclass(frozen=True, slots=True)
class _Router:
    """What a model's router asks of the gate."""

    name: str
    dtype: str
    experts: int
    top_k: int
    scoring: str = "softmax"
    bias: str | None = None
    num_groups: int = 1
    topk_groups: int = 1
    renormalize: bool = True


_ROUTERS: Final = (
    _Router("8 experts, 2 of them", "bf16", 8, 2),
    _Router("60 experts, 4 of them, not renormalised", "bf16", 60, 4, renormalize=False),
    _Router("128 experts, 8 of them", "bf16", 128, 8),
    _Router("160 experts, 6 of 3 of 8 groups, not renormalised", "fp32", 160, 6, "softmax", None, 8, 3, False),  # noqa: FBT003  (a row of a table)
    _Router("256 experts, 8 of 4 of 8 groups, sigmoid and bias", "fp32", 256, 8, "sigmoid", "fp32", 8, 4),
    _Router("384 experts, 8 of them, sigmoid and bias", "fp32", 384, 8, "sigmoid", "fp32"),
    _Router("512 experts, 10 of them", "bf16", 512, 10),
    _Router("512 experts, 16 of them, softmax and bias", "fp32", 512, 16, "softmax", "bf16"),
)


def variants(arch: str) -> tuple[Variant, ...]:
    """Return the gate for each router and each row of the table of `arch`."""
    return tuple(_variant(router, row) for router in _ROUTERS for row in tuned.table(arch)["moe_gate"])


def _variant(router: _Router, row: Mapping[str, int]) -> Variant:
    constants = _kernel.constants_of(
        router.experts,
        router.top_k,
        scoring=router.scoring,
        has_bias=router.bias is not None,
        num_groups=router.num_groups,
        topk_groups=router.topk_groups,
        renormalize=router.renormalize,
    )
    types = {
        "logits_ptr": f"*{router.dtype}",
        "bias_ptr": f"*{router.bias or router.dtype}",
        "weights_ptr": "*fp32",
        "ids_ptr": "*i32",
        "T": "i32",
        "stride_t": "i32",
        "scale": "fp32",
    }
    aligned = {"logits_ptr", "bias_ptr", "weights_ptr", "ids_ptr"}
    return Variant(
        op="moe_gate",
        kernel=_kernel.gate_kernel,
        role="index",
        shape=f"{router.name}, {router.dtype}, {row['block_t']} tokens a program",
        types=types,
        constants={**constants, "BLOCK_T": row["block_t"]},
        aligned=frozenset(aligned | ({"stride_t"} if router.experts % 16 == 0 else set())),
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
    )
