"""Choosing blocks in loops over Python numbers, in float64: what the torch path and the kernels are held against."""

import math

import torch

from headrace.kernels.sparse_attention.select.choice import Choice, Given

Scores = list[list[list[float]]]
Lists = list[list[list[int]]]


def extent(given: Given, choice: Choice, row: int) -> tuple[int, int, int] | None:
    """Return a row's sequence and the positions of its first and last query; None where there is no such row."""
    sequence, block = divmod(row, choice.max_rows)
    keys = int(given.seq_lens[sequence])
    if choice.is_decode:
        return (sequence, keys - 1, keys - 1) if keys else None
    queries = int(given.cu_seqlens[sequence + 1] - given.cu_seqlens[sequence])
    first, end = block * choice.block_q, min((block + 1) * choice.block_q, queries)
    return (sequence, keys - queries + first, keys - queries + end - 1) if first < queries else None


def scores(given: Given, choice: Choice) -> Scores:
    """Return [Hkv][rows][visible blocks] scores, unrounded."""
    rows = range(given.seq_lens.shape[0] * choice.max_rows)
    return [[_row_scores(given, choice, head, row) for row in rows] for head in range(given.kmeta.shape[-2])]


def kept(row_scores: list[float], first: int, choice: Choice) -> list[int]:
    """Return the blocks that a row keeps whose first query stands at `first`, of as many as it has scores."""
    blocks = range(len(row_scores))
    sane = [-math.inf if math.isnan(score) else score for score in row_scores]
    near = first // choice.block_kv - choice.local
    always = [block for block in blocks if block < choice.sink or block > near]
    rest = sorted((block for block in blocks if block not in always), key=lambda block: (-sane[block], block))
    found = list(always)
    total = mass(sane, list(blocks))
    for block in rest:
        if len(found) >= choice.budget:
            break
        if choice.share is not None and mass(sane, found) >= choice.share * total:
            break
        found.append(block)
    return sorted(found)


def mass(row_scores: list[float], chosen: list[int]) -> float:
    """Return the sum of exp(score - highest) over the chosen blocks."""
    highest = max(row_scores, default=0.0)
    return math.fsum(math.exp(row_scores[block] - highest) for block in chosen)


def select(given: Given, choice: Choice) -> Lists:
    """Return [Hkv][rows] lists of block numbers."""
    found: Lists = []
    for by_row in scores(given, choice):
        found.append([])
        for row, row_scores in enumerate(by_row):
            place = extent(given, choice, row)
            found[-1].append(kept(row_scores, place[1], choice) if place else [])
    return found


def pages(given: Given, choice: Choice) -> tuple[Lists, list[list[int]]]:
    """Return the physical pages [B][Hkv] that decode reads, and how many tokens are in them [B][Hkv]."""
    listed: Lists = []
    tokens: list[list[int]] = []
    chosen = select(given, choice)
    for sequence, keys in enumerate(given.seq_lens.tolist()):
        blocks = [by_head[sequence] for by_head in chosen]
        listed.append([given.block_table[sequence, one].tolist() for one in blocks])
        tokens.append([sum(min(choice.page_size, keys - block * choice.page_size) for block in one) for one in blocks])
    return listed, tokens


def _row_scores(given: Given, choice: Choice, head: int, row: int) -> list[float]:
    place = extent(given, choice, row)
    if place is None:
        return []
    sequence, first, last = place
    keys = int(given.seq_lens[sequence])
    start = sequence if choice.is_decode else int(given.cu_seqlens[sequence + 1]) - keys + first
    page_size = choice.page_size
    group = given.q.shape[1] // given.kmeta.shape[-2]
    q = given.q[start : start + last - first + 1, head * group : (head + 1) * group].double()
    pages = given.block_table[sequence, : -(-min(keys, (last // choice.block_kv + 1) * choice.block_kv) // page_size)]
    filled = [min(page_size, keys - page * page_size) for page in range(len(pages))]
    meta = given.kmeta[pages.long()].double()
    by_page = (
        [bound(q, *one[:, head]).nan_to_num(nan=-math.inf) for one in meta]
        if choice.is_minmax
        else [tokens * (q.mean(0) @ one[head]) for tokens, one in zip(filled, meta, strict=True)]
    )
    found = []
    for start in range(0, len(pages), choice.pages_per_block):
        block = torch.stack(by_page[start : start + choice.pages_per_block])
        tokens = sum(filled[start : start + choice.pages_per_block])
        by_head = block.amax(0) if choice.is_minmax else (block.sum(0) / tokens).nan_to_num(nan=-math.inf)
        found.append(float(by_head.max()) * choice.scale)
    return found


def bound(q: torch.Tensor, least: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
    """Return [G], the mean over queries [n, G, D] of the most that q . k can be for least <= k <= most."""
    return torch.maximum(q * least, q * most).sum(-1).mean(0)
