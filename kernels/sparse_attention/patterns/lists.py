"""Query blocks, the key blocks that each may see, and the (indices, counts) form in which a choice is handed on.

A row is one block of `block_q` queries of one sequence of the batch; row `b * rows_per_sequence + j` is block j of
sequence b. Everything is tensor arithmetic over static caps: nothing here waits for a device.
"""

from dataclasses import dataclass
from typing import Final

import torch

from headrace.kernels.checking import check_devices, check_dtype, check_range, check_shape, values_are_checked

UNUSED: Final = -1


@dataclass(frozen=True)
class QueryBlocks:
    """The rows of a batch: where each begins and ends in its sequence, and how many key blocks there can be.

    first, last: int64 [rows], the positions of a row's first and last query, prefix counted; last is -1 where a
    sequence has fewer rows. num_blocks: the static cap of key blocks a sequence.
    """

    first: torch.Tensor
    last: torch.Tensor
    num_blocks: int
    block_q: int
    block_kv: int

    @property
    def visible(self) -> torch.Tensor:
        """How many key blocks each row sees, int64 [rows]: those up to its last query's own."""
        return self.last.div(self.block_kv, rounding_mode="floor").add(1).clamp(0, self.num_blocks)

    @property
    def diagonal(self) -> torch.Tensor:
        """The key block in which each row's first query stands, int64 [rows]."""
        return self.first.div(self.block_kv, rounding_mode="floor")

    @property
    def blocks(self) -> torch.Tensor:
        """The numbers of all key blocks, int64 [num_blocks]."""
        return torch.arange(self.num_blocks, device=self.first.device)

    @property
    def is_visible(self) -> torch.Tensor:
        """Tell which key blocks each row sees, bool [rows, num_blocks]."""
        return self.blocks < self.visible[:, None]

    def always_in(self, *, sink: int, local: int) -> torch.Tensor:
        """Tell which key blocks a row always keeps, bool [rows, num_blocks].

        The first `sink`, and for each of its queries the query's own block and the `local - 1` before it.
        """
        near = self.blocks > (self.diagonal - local)[:, None]
        return self.is_visible & (near | (self.blocks < sink))


def query_blocks(
    cu_seqlens: torch.Tensor,
    *,
    seq_lens: torch.Tensor | None = None,
    max_seqlen_q: int,
    max_seqlen_k: int,
    block_q: int = 64,
    block_kv: int = 64,
) -> QueryBlocks:
    """Return the rows of a batch whose sequence b has queries cu_seqlens[b] .. cu_seqlens[b+1] (int32 [B+1]).

    seq_lens: int32 [B], keys of each sequence in all, its queries being the last of them; None where there is no
    prefix. max_seqlen_q, max_seqlen_k: caps of both, which fix the sizes. Raises ValueError and TypeError.
    """
    check_batch(cu_seqlens, seq_lens, max_seqlen_q=max_seqlen_q, max_seqlen_k=max_seqlen_k)
    check_at_least(1, block_q=block_q, block_kv=block_kv)
    return rows_of(
        cu_seqlens,
        seq_lens,
        max_seqlen_q=max_seqlen_q,
        max_seqlen_k=max_seqlen_k,
        block_q=block_q,
        block_kv=block_kv,
    )


def rows_of(
    cu_seqlens: torch.Tensor,
    seq_lens: torch.Tensor | None,
    *,
    max_seqlen_q: int,
    max_seqlen_k: int,
    block_q: int,
    block_kv: int,
) -> QueryBlocks:
    """Return the rows of a batch whose arguments have been checked."""
    cu = cu_seqlens.long()
    queries = cu.diff()
    prefix = torch.zeros_like(queries) if seq_lens is None else seq_lens.long() - queries
    starts = torch.arange(ceil_div(max_seqlen_q, block_q), device=cu.device) * block_q
    ends = torch.minimum(starts + block_q, queries[:, None])
    last = torch.where(starts < queries[:, None], prefix[:, None] + ends - 1, -1)
    first = (prefix[:, None] + starts).flatten()
    return QueryBlocks(first, last.flatten(), ceil_div(max_seqlen_k, block_kv), block_q, block_kv)


def block_lists(keep: torch.Tensor, max_blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int32 (indices [.., max_blocks] ascending, -1 where unused; counts [..]) of the blocks in `keep` [.., N].

    Blocks past the first `max_blocks` of a row are dropped: give a cap that no row passes.
    """
    count = keep.sum(-1).clamp(max=max_blocks).int()
    place = torch.where(keep, keep.cumsum(-1) - 1, max_blocks).clamp(max=max_blocks)
    numbers = torch.arange(keep.shape[-1], dtype=torch.int32, device=keep.device).expand(keep.shape)
    lists = torch.full((*keep.shape[:-1], max_blocks + 1), UNUSED, dtype=torch.int32, device=keep.device)
    return lists.scatter(-1, place, numbers)[..., :max_blocks].contiguous(), count


def max_always_in(*, sink: int, local: int, block_q: int, block_kv: int) -> int:
    """Return the most blocks a row can always keep: a row of queries may lie across several blocks of keys."""
    return sink + local + ceil_div(block_q - 1, block_kv)


def check_batch(
    cu_seqlens: torch.Tensor, seq_lens: torch.Tensor | None, *, max_seqlen_q: int, max_seqlen_k: int
) -> None:
    """Raise ValueError or TypeError unless lengths and caps agree; lengths are looked at where values are checked."""
    check_shape("cu_seqlens", cu_seqlens, "B+1")
    if not cu_seqlens.shape[0]:
        raise ValueError("cu_seqlens is empty; wanted [B+1], [0] for an empty batch")
    check_dtype("cu_seqlens", cu_seqlens, torch.int32)
    check_devices(cu_seqlens=cu_seqlens, seq_lens=seq_lens)
    check_at_least(0, max_seqlen_q=max_seqlen_q, max_seqlen_k=max_seqlen_k)
    if seq_lens is not None:
        check_shape("seq_lens", seq_lens, cu_seqlens.shape[0] - 1)
        check_dtype("seq_lens", seq_lens, torch.int32)
    if not values_are_checked(cu_seqlens):
        return
    queries = cu_seqlens.diff()
    check_range("cu_seqlens[b+1] - cu_seqlens[b]", queries, 0, max_seqlen_q)
    keys = queries if seq_lens is None else seq_lens
    check_range("seq_lens less the queries", keys - queries, 0, max_seqlen_k)
    check_range("seq_lens", keys, 0, max_seqlen_k)


def check_at_least(least: int, **sizes: int) -> None:
    """Raise ValueError unless each size is `least` or more."""
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name}={size}; wanted {least} or more")


def ceil_div(dividend: int, divisor: int) -> int:
    """Return the quotient, rounded up."""
    return -(-dividend // divisor)
