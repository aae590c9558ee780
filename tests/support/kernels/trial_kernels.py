"""Kernels and variants with which the inspection is tried: one of each kind it must tell apart."""
# ruff: noqa: ANN001, ANN201, N803, PLR0917  (a kernel's parameters are typed by its launch)

import triton
import triton.language as tl

from headrace.kernels.variant import Variant


@triton.jit
def load_tile(source, mask):
    return tl.load(
        source,
        mask=mask,
        other=0.0,
    )


@triton.jit
def product(a, w, out, stride_w, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    rows, columns, inner = tl.arange(0, M), tl.program_id(0) * N + tl.arange(0, N), tl.arange(0, K)
    at = w + columns[None, :] * stride_w + inner[:, None]
    total = tl.zeros((M, N), tl.float32)
    for done in range(0, k, K):
        x = tl.load(a + rows[:, None] * k + done + inner[None, :])
        y = load_tile(at + done, columns[None, :] < n)
        total += tl.dot(x, y)
    tl.store(out + rows[:, None] * n + columns[None, :], total, mask=columns[None, :] < n)


@triton.jit
def hoards(source, out, n, SIZE: tl.constexpr):
    # Every element is used again after all have been read and summed: they must be kept, and do not fit registers.
    at = tl.arange(0, SIZE)
    kept = tl.load(source + at)
    again = tl.load(source + n + at)
    total = tl.sum(kept * again, axis=0)
    tl.store(out + at, kept * total + again / total)


@triton.jit
def follows(ids, rows, out, step, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    chosen = tl.load(ids + at)
    tl.store(out + at, tl.load(rows + chosen * step))


TYPES = {"a": "*bf16", "w": "*bf16", "out": "*fp32", "stride_w": "i32", "n": "i32", "k": "i32"}


def variants(arch: str) -> tuple[Variant, ...]:  # noqa: ARG001  (the same for all)
    return (
        tile(M=128, N=128, K=64, num_warps=8),
        tile(M=16, N=64, K=64, role="decode"),
        tile(M=16, N=64, K=64, role="decode", aligned=frozenset({"a"}), op="narrow"),
        Variant(
            "hoards", hoards, "index", "many", {"source": "*fp32", "out": "*fp32", "n": "i32"}, {"SIZE": 1 << 14},
            frozenset({"source", "out", "n"}), num_warps=4,
        ),
        tile(M=128, N=128, K=8, op="refused"),
        tile(M=128, N=128, K=64, op="huge", num_warps=8, num_stages=8),
    )  # fmt: skip


def tile(
    *,
    M: int,
    N: int,
    K: int,
    op: str = "product",
    role: str = "prefill",
    aligned: frozenset[str] = frozenset(TYPES),
    num_warps: int = 4,
    num_stages: int = 3,
) -> Variant:
    return Variant(
        op=op,
        kernel=product,
        role=role,
        shape=f"{M} x {N} x {K}",
        types=TYPES,
        constants={"M": M, "N": N, "K": K},
        aligned=aligned,
        num_warps=num_warps,
        num_stages=num_stages,
        weights=frozenset({"w"}),
    )
