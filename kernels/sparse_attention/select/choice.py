"""One choice of blocks as both paths take it: the tensors, and sizes that the host works out from shapes and caps."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from headrace.kernels.sparse_attention.patterns.lists import ceil_div, max_always_in


class Given(NamedTuple):
    """The tensors of a choice.

    q: [T, H, D]. kmeta: [P, Hkv, D] or [P, 2, Hkv, D]. block_table: int32 [B, pages]. cu_seqlens: int32 [B+1], not
    looked at in decode. seq_lens: int32 [B].
    """

    q: torch.Tensor
    kmeta: torch.Tensor
    block_table: torch.Tensor
    cu_seqlens: torch.Tensor
    seq_lens: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How blocks are scored and kept.

    max_rows: rows a sequence can have. max_blocks: key blocks a sequence can have. share: what a kept set must reach
    of the softmax over a row's scores; None keeps by budget alone. is_decode: a row is one query, the last of its
    sequence, and physical pages are listed.
    """

    page_size: int
    block_q: int
    block_kv: int
    max_rows: int
    max_blocks: int
    budget: int
    sink: int
    local: int
    scale: float
    share: float | None
    is_minmax: bool
    is_decode: bool

    @property
    def pages_per_block(self) -> int:
        """How many pages a block of keys has."""
        return self.block_kv // self.page_size

    @property
    def max_listed(self) -> int:
        """How many blocks a list has room for."""
        always = max_always_in(sink=self.sink, local=self.local, block_q=self.block_q, block_kv=self.block_kv)
        return min(self.max_blocks, max(self.budget, always))

    def lists_shape(self, batch: int, kv_heads: int) -> tuple[int, int]:
        """Return the shape of the counts: [Hkv, rows], in decode [B, Hkv]."""
        return (batch, kv_heads) if self.is_decode else (kv_heads, batch * self.max_rows)


def max_blocks(max_seqlen_k: int, *, block_kv: int, page_size: int, table_pages: int) -> int:
    """Return how many blocks a sequence can have: by its longest length, and by the width of the block table."""
    return min(ceil_div(max_seqlen_k, block_kv), ceil_div(table_pages * page_size, block_kv))
