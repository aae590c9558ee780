"""What the gate is asked in tests, the same for its kernel and its torch path, and when an answer agrees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch

from headrace.kernels.expert_routing.gate import reference
from tests.support.kernels.tolerance import close

Gate = Callable[..., tuple[torch.Tensor, torch.Tensor]]
CLOSE_CHOICE = 1e-6
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True, slots=True)
class Case:
    """One call of the gate."""

    tokens: int
    experts: int
    top_k: int
    scoring: str = "softmax"
    has_bias: bool = False
    groups: int = 1
    open_groups: int = 1
    renormalize: bool = True
    scale: float = 1.0
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        bias = "-bias" if self.has_bias else ""
        norm = "-norm" if self.renormalize else ""
        groups = f"-{self.open_groups}of{self.groups}" if self.groups > 1 else ""
        return f"{self.tokens}x{self.experts}-k{self.top_k}-{self.scoring}{bias}{groups}{norm}-{str(self.dtype)[6:]}"

    def inputs(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return logits and bias, the same on every call."""
        chance = torch.Generator().manual_seed(self.tokens * 1000 + self.experts + self.top_k)
        logits = (2 * torch.randn(self.tokens, self.experts, generator=chance)).to(self.dtype)
        return logits, torch.randn(self.experts, generator=chance) / 10 if self.has_bias else None

    def options(self) -> dict[str, object]:
        """Return what stands behind top_k in a call, but for the bias."""
        return {
            "scoring": self.scoring,
            "num_groups": self.groups,
            "topk_groups": self.open_groups,
            "renormalize": self.renormalize,
            "scale": self.scale,
        }

    def agrees(self, gate: Gate) -> None:
        """Raise AssertionError unless `gate` answers this case as the reference does."""
        logits, bias = self.inputs()
        agree(gate(logits, self.top_k, bias=bias, **self.options()), logits, self, bias)


def agree(
    answer: tuple[torch.Tensor, torch.Tensor], logits: torch.Tensor, case: Case, bias: torch.Tensor | None = None
) -> None:
    """Raise AssertionError unless the ids are the reference's and the weights those of the ids.

    With a bias, scores are compared that float32 has rounded: an expert may stand for one that is as good to 1e-6.
    """
    weights, ids = answer
    assert (weights.dtype, ids.dtype) == (torch.float32, torch.int32)
    wanted_weights, wanted = reference.gate(logits, case.top_k, bias=bias, **case.options())
    assert ids.shape == wanted.shape == weights.shape
    if bias is None:
        assert torch.equal(ids.to(torch.int64), wanted)
    else:
        values = reference.desire(reference.present(logits), case.scoring, bias)
        got, best = values.gather(1, ids.to(torch.int64)), values.gather(1, wanted)
        assert bool(((got == best) | ((got - best).abs() < CLOSE_CHOICE)).all())
        assert all(len(set(row)) == case.top_k for row in ids.tolist())
    close(weights, wanted_weights, torch.float32, case.experts)


def some() -> tuple[Case, ...]:
    """Return what runs by default: each size, type, scoring and grouping at least once."""
    return tuple(_some())


def every() -> tuple[Case, ...]:
    """Return the long matrix."""
    return tuple(_every())


def _some() -> Iterator[Case]:
    for tokens, experts, top_k in ((7, 8, 2), (33, 60, 6), (1, 128, 8), (7, 160, 1), (7, 256, 8), (7, 384, 6)):
        yield Case(tokens, experts, top_k)
        yield Case(tokens, experts, top_k, "sigmoid", has_bias=True, scale=2.5, dtype=torch.float16)
    yield Case(7, 512, 16, renormalize=False, scale=0.5)
    yield Case(7, 512, 10, has_bias=True)
    yield Case(7, 60, 4, "sigmoid", renormalize=False)
    yield Case(0, 8, 2)
    yield Case(1, 1, 1)
    yield Case(33, 256, 8, "sigmoid", has_bias=True, groups=8, open_groups=4, scale=2.5)
    yield Case(7, 160, 6, groups=8, open_groups=3, renormalize=False, scale=16.0)
    yield Case(7, 60, 5, "sigmoid", groups=12, open_groups=2, dtype=torch.float16)
    yield Case(7, 8, 2, "softmax", has_bias=True, groups=8, open_groups=3)
    yield Case(7, 8, 2, groups=4, open_groups=4)


def _every() -> Iterator[Case]:
    sizes = product((0, 1, 7, 33), (8, 60, 128, 160, 256, 384, 512), (1, 2, 6, 8))
    for at, (tokens, experts, top_k) in enumerate(sizes):
        for scoring, has_bias, groups in product(("softmax", "sigmoid"), (False, True), (1, 4)):
            open_groups = 1 if groups == 1 or (top_k * groups <= experts and at % 3 == 0) else 2
            if open_groups > groups or top_k > experts // groups * open_groups:
                continue
            dtype = torch.float16 if (at + groups) % 2 else torch.float32
            yield Case(tokens, experts, top_k, scoring, has_bias, groups, open_groups, at % 5 > 0, 1.5, dtype)


def odd_logits() -> torch.Tensor:
    """Return rows of 8 logits with everything that is not a finite number in them."""
    return torch.tensor([
        [NAN] * 8,
        [-INF] * 8,
        [INF] * 8,
        [NAN, 1.0, 2.0, NAN, 0.5, -1.0, NAN, NAN],
        [0.0, INF, 3.0, INF, -INF, NAN, 1.0, 2.0],
        [-INF, -INF, 4.0, -INF, -INF, -INF, -INF, NAN],
        [NAN, INF, NAN, -INF, INF, -INF, INF, NAN],
        [0.0, -0.0, 0.0, -0.0, 3e38, -3e38, 1e-40, -1e-40],
        [88.0, 700.0, -700.0, 17.0, 18.0, 40.0, -40.0, 0.0],
    ])  # fmt: skip
