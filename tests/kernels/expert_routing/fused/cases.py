"""Layers of experts to try, small enough for the interpreter."""

from dataclasses import dataclass

import torch

from headrace.kernels.expert_routing.fused import fused_experts, reference
from headrace.kernels.quant_layout import ExpertQuant
from tests.support.kernels import routing
from tests.support.kernels.tolerance import close

HALF, SINGLE, BRAIN = torch.float16, torch.float32, torch.bfloat16


@dataclass(frozen=True, slots=True)
class Layer:
    """What `fused_experts` takes."""

    x: torch.Tensor
    w13: torch.Tensor
    w2: torch.Tensor
    w: torch.Tensor
    ids: torch.Tensor
    quant: ExpertQuant | None

    def run(self) -> torch.Tensor:
        """Return what the op gives."""
        return fused_experts(self.x, self.w13, self.w2, self.w, self.ids, quant=self.quant)

    def reference(self) -> torch.Tensor:
        """Return what it should give, in float64."""
        return reference.fused_experts(self.x, self.w13, self.w2, self.w, self.ids, quant=self.quant)


@dataclass(frozen=True, slots=True)
class Case:
    """Sizes of a layer and how its weights are stored."""

    tokens: int = 7
    top_k: int = 2
    experts: int = 5
    hidden: int = 64
    inner: int = 32
    dtype: torch.dtype = HALF
    bits: int = 16
    group: int | None = 32
    symmetric: bool = True
    dropped: float = 0.2

    def __str__(self) -> str:
        stored = "" if self.bits == 16 else f"int{self.bits}g{self.group or 'K'}{'' if self.symmetric else 'zp'}-"
        sizes = f"T{self.tokens}k{self.top_k}E{self.experts}H{self.hidden}I{self.inner}"
        return f"{stored}{str(self.dtype).removeprefix('torch.')}-{sizes}"

    def layer(self) -> Layer:
        """Return random tensors of these sizes."""
        shapes = ((self.experts, 2 * self.inner, self.hidden), (self.experts, self.hidden, self.inner))
        how = {"bits": self.bits, "group": self.group, "symmetric": self.symmetric}
        w13, w2 = (routing.experts_of(shape, self.dtype, seed=seed, **how) for seed, shape in enumerate(shapes))
        quant = None
        if w13.scale is not None and w2.scale is not None:
            quant = ExpertQuant(w13.scale, w2.scale, w13.zp, w2.zp)
        ids = routing.route(self.tokens, self.top_k, self.experts, dropped=self.dropped)
        w = torch.rand(ids.shape, generator=torch.Generator().manual_seed(9)) + 0.1
        return Layer(routing.randn((self.tokens, self.hidden), self.dtype, seed=5), w13.w, w2.w, w, ids, quant)

    def agrees(self) -> None:
        """Raise AssertionError unless the op is as near the reference as the type allows."""
        layer = self.layer()
        got = layer.run()
        assert got.dtype == self.dtype
        close(got, layer.reference(), self.dtype, self.hidden + self.inner, c=2.0)


def some() -> tuple[Case, ...]:
    """Each way weights are stored, odd sizes."""
    return (
        Case(dtype=SINGLE, hidden=33, inner=7),
        Case(tokens=33, top_k=3),
        Case(bits=8, symmetric=False),
        Case(bits=8, group=None, tokens=1, top_k=5),
        Case(bits=4),
        Case(bits=4, symmetric=False, tokens=1),
    )


def every() -> list[Case]:
    """The long matrix."""
    return [
        Case(tokens, top_k, experts, 128, 96, dtype, bits, 32, bits == 4)
        for tokens, top_k, experts in ((1, 8, 60), (33, 1, 8), (33, 6, 60), (70, 2, 3))
        for bits in (16, 8, 4)
        for dtype in (HALF, SINGLE)
    ]
