"""The order in which vLLM's CPU attention packs a page, found out by writing numbered values and reading them back.

The order depends on the instruction set (AMX interleaves pairs, AVX transposes keys) and is no part of vLLM's contract;
asking its own writer keeps us right whatever it is. What comes back must be a permutation, or this layer is not ours.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from vllm import _custom_ops

# Whole numbers up to this are exact in every type that a cache can have.
_BASE: Final = 128


@dataclass(frozen=True, slots=True)
class Order:
    """Where each value of a plain page [page, D] stands in a packed one: packed = plain[from], for keys and values."""

    page: int
    head_size: int
    keys: torch.Tensor
    values: torch.Tensor

    def unpack(self, packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values [n, page, Hkv, D] of packed pages [n, Hkv, page, 2 * D]."""
        count, heads = packed.shape[:2]
        halves = packed.reshape(count, heads, 2, self.page * self.head_size)
        shape = (count, heads, self.page, self.head_size)
        k = halves[:, :, 0][..., self.keys].view(shape)
        v = halves[:, :, 1][..., self.values].view(shape)
        return k.transpose(1, 2).contiguous(), v.transpose(1, 2).contiguous()


@cache
def order_of(isa: str, dtype: torch.dtype, *, page: int, head_size: int) -> Order:
    """Return the order for an instruction set. Raises RuntimeError where what comes back is no permutation."""
    size = page * head_size
    numbers = torch.arange(size)
    low = _packed(numbers % _BASE, isa, dtype, page, head_size)
    high = _packed(numbers // _BASE, isa, dtype, page, head_size)
    found = [(above.long() * _BASE + below.long()) for above, below in zip(high, low, strict=True)]
    for name, order in zip(("keys", "values"), found, strict=True):
        if not torch.equal(order.sort().values, numbers):
            raise RuntimeError(f"vLLM packs {name} of isa={isa!r}, page={page}, D={head_size} in no order of theirs")
    keys, values = (order.argsort() for order in found)
    return Order(page, head_size, keys, values)


def _packed(numbers: torch.Tensor, isa: str, dtype: torch.dtype, page: int, head_size: int) -> list[torch.Tensor]:
    """Write one page of numbers as keys and values, and return what stands in the cache, flat."""
    cache = torch.zeros(1, 1, page * 2, head_size, dtype=dtype)
    keys, values = cache.chunk(2, dim=2)
    plain = numbers.view(page, 1, head_size).to(dtype)
    _custom_ops.cpu_attn_reshape_and_cache(plain, plain.clone(), keys, values, torch.arange(page), isa)
    return [keys.reshape(-1), values.reshape(-1)]
