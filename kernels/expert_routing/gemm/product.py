"""The operands of one grouped product, and what is told from them alone."""

from dataclasses import dataclass

import torch

from headrace.kernels.quant_layout import weight_bits


@dataclass(frozen=True, slots=True)
class Product:
    """The operands of one grouped product, as `moe_gemm` takes them."""

    a: torch.Tensor
    w: torch.Tensor
    scale: torch.Tensor | None
    zp: torch.Tensor | None
    top_k: int
    mul_weight: torch.Tensor | None
    swiglu: bool

    @property
    def bits(self) -> int:
        """What one weight takes: 4, 8, 16 or 32."""
        return weight_bits(self.w, self.a.shape[1])

    @property
    def group(self) -> int:
        """Neighbours along K that share a scale; 0 where all of K does, or there is none."""
        if self.scale is None or self.scale.shape[2] <= 1:
            return 0
        return self.a.shape[1] // self.scale.shape[2]
