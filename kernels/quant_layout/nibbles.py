"""Two four-bit values in a byte, and eight in a 32-bit word."""

from collections.abc import Sequence
from typing import Final

import torch

LARGEST: Final = 15
PER_WORD: Final = 8


def pack_int4(values: torch.Tensor) -> torch.Tensor:
    """Return uint8 [..., K / 2] of `values` [..., K], integers 0..15; the even index goes to the low nibble.

    Raises ValueError where K is odd or a value does not fit.
    """
    if values.shape[-1] % 2:
        raise ValueError(f"values have {values.shape[-1]} on the last axis; two go to a byte, so it must be even")
    if values.numel():
        least, most = (int(one) for one in torch.aminmax(values))
        if least < 0 or most > LARGEST:
            raise ValueError(f"values are {least}..{most}; four bits hold 0..{LARGEST}")
    small = values.to(torch.uint8)
    return small[..., 0::2] | (small[..., 1::2] << 4)


def unpack_int4(packed: torch.Tensor) -> torch.Tensor:
    """Return uint8 [..., K] of `packed` uint8 [..., K / 2]."""
    return torch.stack((packed & LARGEST, packed >> 4), dim=-1).flatten(-2)


def split_words(words: torch.Tensor, order: Sequence[int], bits: int = 4) -> torch.Tensor:
    """Return uint8 [..., 32 / bits * W] of `words` int32 [..., W]: field i of a word is its value number order[i]."""
    mask = (1 << bits) - 1
    fields = [(words >> (bits * at)) & mask for at in range(32 // bits)]
    by_value = [fields[order.index(value)] for value in range(32 // bits)]
    return torch.stack(by_value, dim=-1).flatten(-2).to(torch.uint8)


def check_words(name: str, words: torch.Tensor) -> None:
    """Raise TypeError unless `words` is int32, ValueError unless it has two axes or more."""
    if words.dtype != torch.int32:
        raise TypeError(f"{name} has dtype {words.dtype}; wanted torch.int32 words")
    if words.dim() < 2:  # noqa: PLR2004  (a matrix or a stack of them)
        raise ValueError(f"{name} has shape {tuple(words.shape)}; wanted a matrix or a stack of them")
