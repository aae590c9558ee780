"""What the alignment is asked in tests, the same for its kernels and its torch path, and when an answer agrees."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch

from headrace.kernels.expert_routing.align import moe_align, reference


@dataclass(frozen=True, slots=True)
class Case:
    """One call of the alignment. ids: `spread` with one in four away, `one` expert for all, or all `away`."""

    tokens: int
    top_k: int
    experts: int
    block_m: int
    ids: str = "spread"

    def __str__(self) -> str:
        return f"{self.tokens}x{self.top_k}-of{self.experts}-by{self.block_m}-{self.ids}"

    def inputs(self) -> torch.Tensor:
        """Return the ids, the same on every call."""
        shape = (self.tokens, self.top_k)
        if self.ids == "one":
            return torch.full(shape, self.experts - 1, dtype=torch.int32)
        if self.ids == "away":
            return torch.full(shape, -1, dtype=torch.int32)
        chance = torch.Generator().manual_seed(self.tokens * 1000 + self.experts + self.top_k)
        ids = torch.randint(0, self.experts, shape, generator=chance)
        return ids.masked_fill(torch.rand(shape, generator=chance) < 1 / 4, -1).to(torch.int32)


def agrees(ids: torch.Tensor, experts: int, block_m: int) -> None:
    """Raise AssertionError unless `moe_align` answers as the reference does."""
    same(moe_align(ids, experts, block_m), reference.align(ids, experts, block_m))


def same(answer: tuple[torch.Tensor, ...], wanted: tuple[torch.Tensor, ...]) -> None:
    """Raise AssertionError unless all three lists are equal, in their types too."""
    for name, got, want in zip(("sorted_ids", "expert_ids", "num_post"), answer, wanted, strict=True):
        assert got.dtype == torch.int32, name
        assert got.tolist() == want.tolist(), name


def some() -> tuple[Case, ...]:
    """Return what runs by default: one program and three launches, each kind of ids, blocks of odd sizes."""
    return (
        Case(0, 2, 8, 16),
        Case(1, 1, 1, 1),
        Case(1, 8, 128, 16),
        Case(7, 2, 8, 16),
        Case(7, 6, 160, 64),
        Case(33, 1, 60, 16),
        Case(33, 2, 384, 12),
        Case(7, 8, 60, 3, "one"),
        Case(7, 8, 60, 16, "away"),
        Case(33, 8, 256, 16),
        Case(64, 8, 512, 16),
        Case(65, 8, 60, 16),
        Case(129, 6, 8, 128),
        Case(130, 8, 60, 16, "one"),
        Case(130, 8, 60, 16, "away"),
    )


def every() -> tuple[Case, ...]:
    """Return the long matrix."""
    return tuple(_every())


def _every() -> Iterator[Case]:
    sizes = product((0, 1, 7, 33, 150), (8, 60, 128, 160, 256, 384, 512), (1, 2, 6, 8))
    for at, (tokens, experts, top_k) in enumerate(sizes):
        for ids in ("spread", "one", "away"):
            yield Case(tokens, top_k, experts, (16, 64, 7, 128)[at % 4], ids)
