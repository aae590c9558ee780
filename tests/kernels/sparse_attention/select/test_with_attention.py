"""Statistics, choice and attention in one line: what is chosen is attended to, and all is dense."""

import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.api import (
    new_page_stats,
    select_blocks,
    select_pages,
    sparse_decode,
    sparse_prefill,
    update_page_stats,
    write_int8_kv,
)
from headrace.kernels.sparse_attention.page_stats import Method
from tests.support.kernels.tolerance import close

PAGE, HEADS, KV_HEADS, SIZE = 32, 4, 2, 16
KEYS = (150, 33)
METHODS = pytest.mark.parametrize("method", ["mean", "minmax"])


@pytest.fixture(autouse=True)
def _on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


class Cache:
    """Two sequences in a paged cache, with statistics."""

    def __init__(self, method: Method) -> None:
        draw = torch.Generator().manual_seed(8)
        self.k, self.v = torch.randn(2, 12, PAGE, KV_HEADS, SIZE, generator=draw)
        self.table = torch.randperm(12, generator=draw)[:10].view(2, 5).int()
        self.seq_lens = torch.tensor(KEYS, dtype=torch.int32)
        self.meta = new_page_stats(self.k, method=method)
        for row, keys in zip(self.table.long(), KEYS, strict=True):
            slots = (row[:, None] * PAGE + torch.arange(PAGE)).flatten()[:keys]
            update_page_stats(self.k, slots, self.meta, method=method)

    def dense(self, q: torch.Tensor, sequence: int, positions: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Return attention [n, H, D] of queries at `positions` over the kept pages [H, pages], in float64."""
        k, v = (one[self.table[sequence].long()].flatten(0, 1).double() for one in (self.k, self.v))
        k, v = (one.repeat_interleave(HEADS // KV_HEADS, 1) for one in (k, v))
        seen = torch.arange(len(k)) <= positions[:, None]
        mask = seen & keep.repeat_interleave(PAGE, 1)[:, None]
        scores = torch.einsum("qhd,khd->hqk", q.double(), k) * SIZE**-0.5
        return torch.einsum("hqk,khd->qhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), v)


@METHODS
@pytest.mark.parametrize("budget", [2, 99])
def test_decode_attends_to_the_pages_chosen(method: Method, budget: int) -> None:
    cache = Cache(method)
    q = torch.randn(2, HEADS, SIZE, generator=torch.Generator().manual_seed(9))
    pages, valid = select_pages(
        q, cache.meta, cache.table, cache.seq_lens, budget=budget, sink=0, local=1, page_size=PAGE, method=method
    )
    found, _ = sparse_decode(q, cache.k, cache.v, pages, valid)
    for sequence, keys in enumerate(KEYS):
        keep = torch.cat([torch.isin(cache.table[sequence], pages[sequence, head])[None] for head in (0, 0, 1, 1)])
        assert int(keep[0].sum()) == min(budget, -(-keys // PAGE))
        wanted = cache.dense(q[sequence, None], sequence, torch.tensor([keys - 1]), keep)
        close(found[sequence, None], wanted, torch.float32, keys)


@pytest.mark.parametrize("budget", [2, 99])
def test_decode_from_an_int8_cache_attends_to_the_pages_chosen(budget: int) -> None:
    cache = Cache("mean")
    k, v = torch.zeros(2, 12, PAGE, KV_HEADS, SIZE, dtype=torch.int8)
    k_scale, v_scale = torch.zeros(2, 12, PAGE, KV_HEADS)
    meta = new_page_stats(k, dtype=torch.bfloat16)
    for row, keys in zip(cache.table.long(), KEYS, strict=True):
        slots = (row[:, None] * PAGE + torch.arange(PAGE)).flatten()[:keys]
        write_int8_kv(cache.k.flatten(0, 1)[slots], cache.v.flatten(0, 1)[slots], k, v, k_scale, v_scale, slots)
        update_page_stats(k, slots, meta, k_scale=k_scale)
    q = torch.randn(2, HEADS, SIZE, generator=torch.Generator().manual_seed(9))
    pages, valid = select_pages(
        q, meta, cache.table, cache.seq_lens, budget=budget, sink=0, local=1, page_size=PAGE, method="mean"
    )
    found, _ = sparse_decode(q, k, v, pages, valid, k_scale=k_scale, v_scale=v_scale)
    cache.k, cache.v = k * k_scale[..., None], v * v_scale[..., None]
    for sequence, keys in enumerate(KEYS):
        keep = torch.cat([torch.isin(cache.table[sequence], pages[sequence, head])[None] for head in (0, 0, 1, 1)])
        assert int(keep[0].sum()) == min(budget, -(-keys // PAGE))
        wanted = cache.dense(q[sequence, None], sequence, torch.tensor([keys - 1]), keep)
        close(found[sequence, None], wanted, torch.float32, keys)


@METHODS
@pytest.mark.parametrize("budget", [2, 99])
def test_a_chunk_attends_to_the_blocks_chosen(method: Method, budget: int) -> None:
    cache = Cache(method)
    lens = (40, 7)
    q = torch.randn(sum(lens), HEADS, SIZE, generator=torch.Generator().manual_seed(9))
    cu = torch.tensor([0, *lens]).cumsum(0).int()
    sizes = {"block_q": PAGE, "block_kv": PAGE, "max_seqlen_q": 40}
    idx, cnt = select_blocks(
        q, cache.meta, cache.table, cu, seq_lens=cache.seq_lens, budget=budget, sink=0, local=1, max_seqlen_k=160,
        method=method, **sizes,
    )  # fmt: skip
    found, _ = sparse_prefill(q, cache.k, cache.v, cache.table, cu, cache.seq_lens, idx, cnt, **sizes)
    for sequence, (length, keys) in enumerate(zip(lens, KEYS, strict=True)):
        for block in range(-(-length // PAGE)):
            rows = torch.arange(block * PAGE, min(length, (block + 1) * PAGE))
            keep = torch.cat(
                [torch.isin(torch.arange(5), idx[head, 2 * sequence + block])[None] for head in (0, 0, 1, 1)]
            )
            at = int(cu[sequence]) + rows
            close(found[at], cache.dense(q[at], sequence, keys - length + rows, keep), torch.float32, keys)
    if budget == 2:
        assert int(cnt[0, 0]) < 5
