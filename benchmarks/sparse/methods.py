"""Ways to choose blocks, each with a budget: the rows of the comparison, by the kernels' public functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from headrace.kernels.sparse_attention.page_stats import Method as Stats
from headrace.kernels.sparse_attention.page_stats import new_page_stats, update_page_stats
from headrace.kernels.sparse_attention.patterns import bigbird, dense, longformer, query_blocks, sliding_window
from headrace.kernels.sparse_attention.select import select_blocks, select_pages

BLOCK: Final = 64
SINK: Final = 1
LOCAL: Final = 2
SEED: Final = 7

Lists = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Cache:
    """One sequence's keys and values in pages of BLOCK tokens, in order: [pages, BLOCK, Hkv, D] each."""

    keys: torch.Tensor
    values: torch.Tensor
    length: int

    @property
    def table(self) -> torch.Tensor:
        """The block table: int32 [1, pages]."""
        return torch.arange(self.keys.shape[0], dtype=torch.int32)[None]

    @property
    def bounds(self) -> torch.Tensor:
        """Where the sequence begins and ends: int32 [2]."""
        return torch.tensor([0, self.length], dtype=torch.int32)

    @property
    def lengths(self) -> torch.Tensor:
        """How long it is: int32 [1]."""
        return torch.tensor([self.length], dtype=torch.int32)


Choose = Callable[[torch.Tensor, Cache], Lists]
Read = Callable[[torch.Tensor, Cache, torch.Tensor], Lists]


@dataclass(frozen=True, slots=True)
class Method:
    """One way with one budget; budget: blocks a query block may look at, or the top-p share, or 0 for all."""

    name: str
    budget: float
    choose: Choose


@dataclass(frozen=True, slots=True)
class Pages:
    """One way for decode with one budget in pages. read: of queries [B, H, D] and their lengths [B] the page lists.

    prompt: how the queries before choose their blocks; None leaves them dense.
    """

    name: str
    budget: float
    read: Read
    prompt: Choose | None = None


def everything() -> Method:
    """Return the control: every block that is visible."""
    return Method("dense", 0, lambda _, cache: dense(_rows(cache), num_kv_heads=cache.keys.shape[2]))


def by_pages(budget: int) -> list[Pages]:
    """Return every way to choose so many pages for one query a sequence, sinks and the newest ones counted."""
    return [
        Pages("decode, window + sink", budget, _read("mean", budget, budget - SINK)),
        Pages("decode, top-k of means", budget, _read("mean", budget, LOCAL)),
        Pages("decode, top-k of extremes", budget, _read("minmax", budget, LOCAL)),
        Pages("both, top-k of extremes", budget, _read("minmax", budget, LOCAL), _selected("minmax", budget)),
    ]


def by_blocks(budget: int) -> list[Method]:
    """Return every method that keeps so many blocks at most, sinks and the newest ones counted."""
    heads = lambda cache: cache.keys.shape[2]  # noqa: E731  (read by three)
    return [
        Method(
            "window + sink",
            budget,
            lambda _, cache: sliding_window(
                _rows(cache), num_kv_heads=heads(cache), window_blocks=budget - SINK, sink_blocks=SINK
            ),
        ),
        Method(
            "longformer",
            budget,
            lambda _, cache: longformer(
                _rows(cache),
                num_kv_heads=heads(cache),
                window_blocks=max(1, budget - 2),
                global_blocks=(0, cache.keys.shape[0] // 2),
            ),
        ),
        Method(
            "bigbird",
            budget,
            lambda _, cache: bigbird(
                _rows(cache),
                num_kv_heads=heads(cache),
                window_blocks=LOCAL,
                global_blocks=SINK,
                random_blocks=max(0, budget - LOCAL - SINK),
                seed=SEED,
            ),
        ),
        Method("top-k of means", budget, _selected("mean", budget)),
        Method("top-k of extremes", budget, _selected("minmax", budget)),
    ]


def by_share(share: float) -> Method:
    """Return the method that keeps what holds this share of the pooled scores' softmax."""
    return Method("top-p of means", share, _selected("mean", None, share))


def kept_share(lists: Lists, cache: Cache) -> float:
    """Return how many of the visible (query block, key block) pairs are kept."""
    visible = _rows(cache).visible.sum().item() * cache.keys.shape[2]
    return float(lists[1].sum().item() / visible)


def read_share(lists: Lists, lengths: torch.Tensor) -> float:
    """Return how many of the visible tokens lie in the pages that queries of these lengths [B] read."""
    return float((lists[1] / lengths[:, None]).mean())


def _selected(method: Stats, budget: int | None, share: float | None = None) -> Choose:
    def choose(q: torch.Tensor, cache: Cache) -> Lists:
        return select_blocks(
            q,
            _stats(cache, method),
            cache.table,
            cache.bounds,
            budget=cache.keys.shape[0] if budget is None else budget,
            sink=SINK,
            local=LOCAL,
            method=method,
            top_p=share,
            block_q=BLOCK,
            block_kv=BLOCK,
            max_seqlen_q=cache.length,
            max_seqlen_k=cache.length,
        )

    return choose


def _read(method: Stats, budget: int, local: int) -> Read:
    def read(q: torch.Tensor, cache: Cache, lengths: torch.Tensor) -> Lists:
        return select_pages(
            q,
            _stats(cache, method),
            cache.table.repeat(len(q), 1),
            lengths,
            budget=budget,
            sink=SINK,
            local=local,
            page_size=BLOCK,
            method=method,
        )

    return read


def _stats(cache: Cache, method: Stats) -> torch.Tensor:
    """Return the statistics of all pages; a page whose later keys a query may not see is its newest, always kept."""
    stats = new_page_stats(cache.keys, method=method)
    update_page_stats(cache.keys, torch.arange(cache.length), stats, method=method)
    return stats


def _rows(cache: Cache):  # noqa: ANN202
    return query_blocks(
        cache.bounds, max_seqlen_q=cache.length, max_seqlen_k=cache.length, block_q=BLOCK, block_kv=BLOCK
    )
