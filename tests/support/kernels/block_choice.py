"""Batches to choose blocks of: whole numbers, so that scores are exact in every type and equal ones are equal."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from headrace.kernels.sparse_attention.select import reference
from headrace.kernels.sparse_attention.select.choice import Choice, Given

Lists = list[list[list[int]]]


def batch(
    query_lens: Sequence[int] = (5, 8, 0),
    prefixes: Sequence[int] = (22, 0, 7),
    *,
    minmax: bool = False,
    heads: int = 4,
    kv_heads: int = 2,
    size: int = 16,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    **sizes: Any,
) -> tuple[Given, Choice]:
    """Return what the paths take; a page belongs to one sequence, and two pages to none.

    sizes: fields of Choice to set. In decode `query_lens` are not looked at, and prefixes are all keys but one.
    """
    draw = torch.Generator().manual_seed(seed)
    page = sizes.setdefault("page_size", 4)
    is_decode = sizes.setdefault("is_decode", False)
    query_lens = [1] * len(prefixes) if is_decode else query_lens
    seq_lens = [queries + prefix for queries, prefix in zip(query_lens, prefixes, strict=True)]
    width = -(-max(seq_lens, default=0) // page)
    total = len(seq_lens) * width + 2
    parts = (2,) if minmax else ()
    kmeta = torch.randint(-3, 4, (total, *parts, kv_heads, size), generator=draw)
    choice = Choice(
        **{
            "block_q": 1 if is_decode else 4, "block_kv": page, "max_rows": 1, "max_blocks": 0, "budget": 3, "sink": 1,
            "local": 1, "scale": size**-0.5, "share": None, "is_minmax": minmax,
        }
        | sizes
    )  # fmt: skip
    choice = replace(
        choice,
        max_rows=1 if is_decode else -(-max(query_lens, default=0) // choice.block_q),
        max_blocks=-(-max(seq_lens, default=0) // choice.block_kv),
    )
    q = torch.randint(-3, 4, (sum(query_lens), heads, size), generator=draw)
    return Given(
        q=q.to(dtype),
        kmeta=(kmeta.sort(1).values if minmax else kmeta).to(dtype),
        block_table=torch.randperm(total, generator=draw)[: len(seq_lens) * width].view(len(seq_lens), width).int(),
        cu_seqlens=torch.tensor([0, *query_lens]).cumsum(0).int(),
        seq_lens=torch.tensor(seq_lens, dtype=torch.int32),
    ), choice


def arguments(given: Given, choice: Choice) -> dict[str, Any]:
    """Return what `select_blocks`, or in decode `select_pages`, is called with."""
    kept = {
        "budget": choice.budget, "sink": choice.sink, "local": choice.local, "top_p": choice.share,
        "method": "minmax" if choice.is_minmax else "mean", "page_size": choice.page_size, "scale": choice.scale,
        "max_seqlen_k": choice.max_blocks * choice.block_kv,
    }  # fmt: skip
    if choice.is_decode:
        return kept | {name: tensor for name, tensor in given._asdict().items() if name != "cu_seqlens"}
    caps = {"max_seqlen_q": choice.max_rows * choice.block_q}
    return kept | caps | given._asdict() | {"block_q": choice.block_q, "block_kv": choice.block_kv}


def reference_scores(given: Given, choice: Choice) -> torch.Tensor:
    """Return what all rows see scored by the reference, in one line, float64."""
    scores = [score for by_row in reference.scores(given, choice) for row in by_row for score in row]
    return torch.tensor(scores, dtype=torch.float64)


def visible_scores(scores: torch.Tensor, given: Given, choice: Choice) -> torch.Tensor:
    """Return what all rows see of scores [Hkv, rows, blocks], in one line."""
    rows = given.seq_lens.shape[0] * choice.max_rows
    places = [reference.extent(given, choice, row) for row in range(rows)]
    seen = [place[2] // choice.block_kv + 1 if place else 0 for place in places]
    return torch.cat([scores[head, row, :count] for head in range(len(scores)) for row, count in enumerate(seen)])


def lists_of(indices: torch.Tensor, counts: torch.Tensor) -> Lists:
    """Return the lists, having looked that what is unused is -1."""
    used = torch.arange(indices.shape[-1]) < counts[..., None]
    assert indices.is_contiguous()
    assert counts.is_contiguous()
    assert indices.dtype == counts.dtype == torch.int32
    assert bool((indices[~used] == -1).all())
    return [
        [indices[one, other, : int(counts[one, other])].tolist() for other in range(indices.shape[1])]
        for one in range(indices.shape[0])
    ]
