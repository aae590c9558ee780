"""Products of experts to try, small enough for the interpreter, and how near they must come to float64."""

from dataclasses import dataclass

import torch

from headrace.kernels.expert_routing.gemm import moe_gemm, reference
from tests.support.kernels import routing
from tests.support.kernels.routing import Align, Experts
from tests.support.kernels.tolerance import close

HALF, SINGLE, BRAIN = torch.float16, torch.float32, torch.bfloat16


@dataclass(frozen=True, slots=True)
class Case:
    """One product: sizes, how the weights are stored, what happens to the results."""

    tokens: int = 7
    top_k: int = 2
    experts: int = 5
    n: int = 36
    k: int = 96
    dtype: torch.dtype = HALF
    bits: int = 16
    group: int | None = None
    symmetric: bool = True
    swiglu: bool = False
    has_mul: bool = False
    block_m: int = 16
    dropped: float = 0.2

    def __str__(self) -> str:
        stored = "" if self.bits == 16 else f"int{self.bits}g{self.group or 'K'}{'' if self.symmetric else 'zp'}-"
        ends = ("-swiglu" if self.swiglu else "") + ("-mul" if self.has_mul else "")
        sizes = f"T{self.tokens}k{self.top_k}E{self.experts}N{self.n}K{self.k}m{self.block_m}"
        return f"{stored}{str(self.dtype).removeprefix('torch.')}-{sizes}{ends}"

    def weights(self) -> Experts:
        """Return the experts' matrices."""
        shape = (self.experts, self.n, self.k)
        return routing.experts_of(shape, self.dtype, bits=self.bits, group=self.group, symmetric=self.symmetric)

    def align(self) -> Align:
        """Return the alignment, with a block in no use behind."""
        ids = routing.route(self.tokens, self.top_k, self.experts, dropped=self.dropped)
        return routing.align(ids, self.experts, self.block_m, spare_blocks=1)

    def a(self) -> torch.Tensor:
        """Return the rows."""
        return routing.randn((self.tokens, self.k), self.dtype, seed=5)

    def mul_weight(self) -> torch.Tensor | None:
        """Return a factor a row."""
        return routing.randn((self.tokens * self.top_k,), SINGLE, seed=6) if self.has_mul else None

    def agrees(self) -> None:
        """Raise AssertionError unless `moe_gemm` is as near the reference as the type allows."""
        a, experts, align = self.a(), self.weights(), self.align()
        how = {"top_k": self.top_k, "mul_weight": self.mul_weight(), "swiglu": self.swiglu}
        got = moe_gemm(a, experts.w, experts.scale, experts.zp, align, **how)
        assert got.dtype == self.dtype
        wanted = reference.moe_gemm(a, experts.w, experts.scale, experts.zp, align, **how)
        close(got, wanted, self.dtype, self.k, c=2.0)


def some() -> tuple[Case, ...]:
    """Every branch of the kernel once, odd sizes throughout."""
    return (
        Case(dtype=SINGLE, n=33, k=40),
        Case(tokens=33, n=70, k=200, swiglu=True, has_mul=True),
        Case(bits=4, group=32),
        Case(bits=4, group=64, symmetric=False, k=192, swiglu=True),
        Case(bits=4, group=128, k=256, dtype=SINGLE, has_mul=True),
        Case(bits=4, group=256, k=512, symmetric=False),
        Case(bits=4, symmetric=False, k=72, n=33),
        Case(bits=4, k=72, n=34, swiglu=True),
        Case(bits=8, group=32, n=33),
        Case(bits=8, group=128, k=256, swiglu=True),
        Case(bits=8, group=64, symmetric=False, k=192, has_mul=True),
        Case(bits=8, symmetric=False, k=77, n=7),
        Case(bits=8, k=77, dtype=SINGLE),
        Case(tokens=150, top_k=1, experts=2, block_m=128, dropped=0.1),
        Case(bits=4, group=32, symmetric=False, block_m=128),
        Case(bits=8, group=128, k=128, block_m=64, swiglu=True),
    )


def brain() -> tuple[Case, ...]:
    """What the kernel does differently in bfloat16."""
    return (
        Case(dtype=BRAIN, k=200, swiglu=True),
        Case(dtype=BRAIN, bits=4, group=32),
        Case(dtype=BRAIN, bits=4, group=64, symmetric=False, k=192),
        Case(dtype=BRAIN, bits=8, group=32, symmetric=False, has_mul=True),
    )


def every() -> list[Case]:
    """The long matrix."""
    layers = ((1, 8, 60), (33, 2, 8), (33, 6, 128))
    stored = ((16, None), (8, None), (8, 64), (4, None), (4, 32), (4, 64), (4, 128))
    return [
        Case(tokens, top_k, experts, 66, 384, dtype, bits, group, bits > 4, bits == 4, top_k > 2, block_m)
        for block_m in (16, 32, 64, 128)
        for tokens, top_k, experts in (layers if block_m == 16 else layers[:2])
        for bits, group in stored
        for dtype in (HALF, SINGLE)
    ]
