"""The variants that break a budget first: packed weights, the widest head, the largest tile. One of each kind."""

from collections.abc import Iterator

from headrace.kernels.inspect import catalogue
from headrace.kernels.variant import Variant

OPS = ("moe_gemm", "sparse_prefill", "sparse_decode")


def variants(arch: str) -> tuple[Variant, ...]:
    return tuple(_hardest(list(catalogue.variants(arch, OPS))))


def _hardest(found: list[Variant]) -> Iterator[Variant]:
    for op in OPS:
        for role in ("prefill", "decode"):
            same = [one for one in found if (one.op, one.role) == (op, role)]
            if not same or (op, role) == ("sparse_prefill", "decode"):
                continue
            yield max(same, key=_work)


def _work(variant: Variant) -> tuple[bool, int]:
    """Order by what fills registers: unpacking four bits first, then the size of the tile."""
    sizes = [
        value for name, value in variant.constants.items() if name.startswith(("BLOCK", "D")) and type(value) is int
    ]
    product = 1
    for size in sizes:
        product *= max(1, size)
    return "int4" in variant.shape, product
