"""The least time an op can take on an H100 SXM: its bytes at full bandwidth or its products at full rate.

Predicted, not timed. Sizes are those of models that exist; the formulas are the ones the ops' READMEs give.
"""

from dataclasses import dataclass
from typing import Final

H100_BYTES_PER_S: Final = 3.35e12
H100_FLOPS: Final = 989e12
REACHED_BYTES_PER_S: Final = 3.0e12
REACHED_SHARE_OF_FLOPS: Final = 0.6
US: Final = 1e6


@dataclass(frozen=True, slots=True)
class Work:
    """What one call must do: bytes over the memory bus, floating operations."""

    op: str
    shape: str
    bytes_: float
    flops: float = 0.0

    @property
    def floor_us(self) -> float:
        """Return the time at the data sheet's rates."""
        return US * max(self.bytes_ / H100_BYTES_PER_S, self.flops / H100_FLOPS)

    @property
    def realistic_us(self) -> float:
        """Return the time at rates that good kernels reach: 3.0 TB/s, 0.6 of the peak."""
        return US * max(self.bytes_ / REACHED_BYTES_PER_S, self.flops / (REACHED_SHARE_OF_FLOPS * H100_FLOPS))


@dataclass(frozen=True, slots=True)
class Experts:
    """The experts of one layer: width, inner width, how many, how many a token."""

    name: str
    hidden: int
    inner: int
    experts: int
    top_k: int


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of one attention layer."""

    query: int
    kv: int
    dim: int


QWEN3_30B: Final = Experts("Qwen3-30B-A3B", 2048, 768, 128, 8)
MIXTRAL: Final = Experts("Mixtral 8x7B", 4096, 14336, 8, 2)
HEADS: Final = Heads(query=32, kv=8, dim=128)
BYTES_A_WEIGHT: Final = {"bf16": 2.0, "int8": 1.0, "int4": 0.5}
_GROUP: Final = 128
_A_SCALE: Final = 2
_AN_ELEMENT: Final = 2


def experts_hit(layer: Experts, tokens: int) -> float:
    """Return how many experts at least one of `tokens` goes to, on average, where routing is even."""
    return layer.experts * (1 - (1 - layer.top_k / layer.experts) ** tokens)


def gate(tokens: int, experts: int, top_k: int = 8) -> Work:
    """Logits in float32 in, weights and ids out."""
    return Work("moe_gate", f"T={tokens} E={experts}", tokens * (4 * experts + 8 * top_k))


def align(tokens: int, top_k: int = 8) -> Work:
    """Ids in, their order out."""
    return Work("moe_align", f"T={tokens} k={top_k}", 8 * tokens * top_k)


def experts(layer: Experts, tokens: int, weights: str) -> Work:
    """Both products of every expert that is hit; the rows go out and come back once between them."""
    per_expert = 3 * layer.hidden * layer.inner
    per_weight = BYTES_A_WEIGHT[weights] + (_A_SCALE / _GROUP if weights != "bf16" else 0)
    rows = tokens * layer.top_k
    moved = experts_hit(layer, tokens) * per_expert * per_weight
    moved += rows * 2 * (layer.hidden + layer.inner) * _AN_ELEMENT
    return Work("fused_experts", f"{layer.name} T={tokens} {weights}", moved, 2 * rows * per_expert)


def prefill(queries: int, before: int, *, kept: float = 1.0, window: int | None = None, heads: Heads = HEADS) -> Work:
    """`queries` new tokens after `before` cached ones; `kept` is the share of blocks, a window counts tokens."""
    seen = window if window is not None else kept * (before + queries / 2)
    reach = before + queries if window is None else window + queries
    moved = (2 * kept * reach * heads.kv + 2 * queries * heads.query) * heads.dim * _AN_ELEMENT
    words = f"window {window}" if window is not None else "dense" if kept == 1 else f"{kept:.0%} of blocks"
    flops = 4 * queries * seen * heads.query * heads.dim
    return Work("sparse_prefill", f"{queries} at {before}, {words}", moved, flops)


def decode(context: int, *, batch: int = 1, kept: int | None = None, heads: Heads = HEADS) -> Work:
    """One token a sequence; `kept` tokens of each are read, all of them where it is None."""
    read = context if kept is None else kept
    moved = batch * 2 * read * heads.kv * heads.dim * _AN_ELEMENT
    words = "dense" if kept is None else f"top {kept}"
    return Work("sparse_decode", f"{context} B={batch}, {words}", moved, 4 * batch * read * heads.query * heads.dim)


def score_pages(context: int, block: int, *, batch: int = 1, heads: Heads = HEADS) -> Work:
    """Reading least and most of every block of keys, to choose among them."""
    moved = batch * 2 * (context // block) * heads.kv * heads.dim * _AN_ELEMENT
    return Work("select_blocks", f"{context} B={batch}, blocks of {block}", moved)


def named() -> tuple[Work, ...]:
    """Return the shapes that the report gives floors for."""
    long = 131_072
    return (
        gate(4096, 128),
        gate(4096, 256),
        align(64),
        *(experts(QWEN3_30B, tokens, weights) for tokens in (1, 16, 64, 4096) for weights in BYTES_A_WEIGHT),
        *(experts(MIXTRAL, tokens, weights) for tokens in (1, 16) for weights in ("bf16", "int4")),
        prefill(8192, 122_880),
        prefill(8192, 122_880, kept=0.1),
        prefill(8192, 122_880, window=4096),
        decode(long),
        decode(long, kept=4096),
        score_pages(long, 64),
        score_pages(long, 16),
        decode(long, batch=16),
        decode(long, batch=16, kept=4096),
        score_pages(long, 64, batch=16),
    )
