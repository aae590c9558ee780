"""Prompts over paged caches with lists made by hand, and what each must come out as."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from headrace.kernels.sparse_attention.prefill import reference, sparse_prefill
from tests.support.kernels.canaries import Guarded, allocations_guarded, guard
from tests.support.kernels.tolerance import close

ABSENT = (-1, 1 << 27, -(1 << 31), (1 << 31) - 1)
"""Numbers of blocks that no sequence has; all but the first wrap, multiplied by the size of a block."""
Attended = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """The arguments of one call."""

    q: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    block_table: torch.Tensor
    cu_q: torch.Tensor
    seq_lens: torch.Tensor
    idx: torch.Tensor
    cnt: torch.Tensor
    options: dict[str, Any]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return them in the order of the call."""
        return (self.q, self.k_cache, self.v_cache, self.block_table, self.cu_q, self.seq_lens, self.idx, self.cnt)

    def but(self, **changes: Any) -> "Case":
        """Return the case with other tensors or options."""
        tensors = {name: value for name, value in changes.items() if isinstance(value, torch.Tensor)}
        options = {name: value for name, value in changes.items() if name not in tensors}
        return replace(self, **tensors, options=self.options | options)

    def run(self) -> Attended:
        """Return what the op says."""
        return sparse_prefill(*self.tensors, **self.options)

    def run_guarded(self) -> Attended:
        """Return what the op says of buffers between canaries, outputs among them."""
        inside: list[Guarded] = [guard(tensor) for tensor in self.tensors]
        with allocations_guarded():
            found = sparse_prefill(*(one.tensor for one in inside), **self.options)
        for one in inside:
            one.check()
        return found

    def wanted(self) -> Attended:
        """Return what the reference says in float64."""
        return reference.sparse_prefill(
            *(tensor.double() for tensor in self.tensors[:3]), *self.tensors[3:], **self.options
        )

    def agrees(self, found: Attended) -> None:
        """Raise AssertionError unless `found` is what the reference says, as near as the type allows."""
        for got, want in zip(found, self.wanted(), strict=True):
            close(got, want, self.q.dtype, self.q.shape[2])


def prompt(
    *sequences: tuple[int, int],
    heads: int = 2,
    kv_heads: int = 1,
    head_dim: int = 64,
    page: int = 16,
    block_q: int = 16,
    block_kv: int = 32,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    **options: Any,
) -> Case:
    """Return a case of `sequences` of (new tokens, tokens in all), each query block with the whole list, in order.

    Pages are scattered, those after a sequence's last are -1, and what no token wrote is NaN.
    """
    chance = torch.Generator().manual_seed(seed)
    tokens = sum(new for new, _ in sequences)
    longest_q = max((new for new, _ in sequences), default=0)
    longest = max((held for _, held in sequences), default=0)
    max_pages = -(-longest // page) + 1
    num_pages = max_pages * len(sequences) + 1
    caches = [torch.full((num_pages, page, kv_heads, head_dim), float("nan"), dtype=dtype) for _ in range(2)]
    table = torch.full((len(sequences), max_pages), -1, dtype=torch.int32)
    free = torch.randperm(num_pages, generator=chance)
    rows, most = -(-longest_q // block_q), -(-longest // block_kv)
    idx = torch.full((kv_heads, len(sequences) * rows, most), -7, dtype=torch.int32)
    cnt = torch.zeros((kv_heads, len(sequences) * rows), dtype=torch.int32)
    for place, (new, held) in enumerate(sequences):
        for logical in range(-(-held // page)):
            table[place, logical] = free[place * max_pages + logical]
            filled = min(page, held - logical * page)
            for cache in caches:
                cache[table[place, logical], :filled] = torch.randn(
                    filled, kv_heads, head_dim, generator=chance, dtype=torch.float64
                ).to(dtype)
        for block in range(-(-new // block_q)):
            last = held - new + min(new, (block + 1) * block_q) - 1
            visible = last // block_kv + 1
            idx[:, place * rows + block, :visible] = torch.arange(visible, dtype=torch.int32)
            cnt[:, place * rows + block] = visible
    q = torch.randn(tokens, heads, head_dim, generator=chance, dtype=torch.float64).to(dtype)
    cu_q = torch.tensor([0, *(new for new, _ in sequences)]).cumsum(0).int()
    seq_lens = torch.tensor([held for _, held in sequences], dtype=torch.int32)
    sizes = {"block_q": block_q, "block_kv": block_kv, "max_seqlen_q": longest_q}
    return Case(q, *caches, table, cu_q, seq_lens, idx, cnt, sizes | options)


def thinned(case: Case, *, keep: float = 0.6, seed: int = 0) -> Case:
    """Return the case with each list cut to some of its blocks, shuffled, absent ones among them; some lists empty."""
    chance = torch.Generator().manual_seed(seed)
    idx, cnt = (
        torch.full((*case.idx.shape[:2], case.idx.shape[2] + len(ABSENT)), 5, dtype=torch.int32),
        case.cnt.clone(),
    )
    for kv_head in range(idx.shape[0]):
        for row in range(idx.shape[1]):
            listed = case.idx[kv_head, row, : int(cnt[kv_head, row])]
            kept = listed[torch.rand(len(listed), generator=chance) < keep].tolist()
            kept = kept + list(ABSENT[: 1 + (row + kv_head) % 4]) if kept and row % 4 != 3 else []
            kept = [kept[place] for place in torch.randperm(len(kept), generator=chance).tolist()]
            idx[kv_head, row, : len(kept)] = torch.tensor(kept, dtype=torch.int32)
            cnt[kv_head, row] = len(kept)
    return case.but(idx=idx, cnt=cnt)


def ragged(**options: Any) -> Case:
    """Return a chunk with a long prefix, a whole prompt, one new token, and a sequence that has none."""
    return thinned(prompt((7, 40), (18, 18), (1, 33), (0, 5), **{"kv_heads": 2, "heads": 4, **options}))
