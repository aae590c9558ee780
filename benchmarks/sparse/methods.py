"""Ways to choose blocks, each with a budget: the rows of the comparison, by the kernels' public functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch

from headrace.kernels.sparse_attention.page_stats import new_page_stats, update_page_stats
from headrace.kernels.sparse_attention.patterns import bigbird, dense, longformer, query_blocks, sliding_window
from headrace.kernels.sparse_attention.select import select_blocks

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


@dataclass(frozen=True, slots=True)
class Method:
    """One way with one budget; budget: blocks a query block may look at, or the top-p share, or 0 for all."""

    name: str
    budget: float
    choose: Choose


def everything() -> Method:
    """Return the control: every block that is visible."""
    return Method("dense", 0, lambda _, cache: dense(_rows(cache), num_kv_heads=cache.keys.shape[2]))


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


def _selected(method: Literal["mean", "minmax"], budget: int | None, share: float | None = None) -> Choose:
    def choose(q: torch.Tensor, cache: Cache) -> Lists:
        stats = new_page_stats(cache.keys, method=method)
        update_page_stats(cache.keys, torch.arange(cache.length), stats, method=method)
        return select_blocks(
            q,
            stats,
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


def _rows(cache: Cache):  # noqa: ANN202
    return query_blocks(
        cache.bounds, max_seqlen_q=cache.length, max_seqlen_k=cache.length, block_q=BLOCK, block_kv=BLOCK
    )
