"""Which blocks of keys a budget keeps, worked out by hand: the plainest code, one page and one head at a time."""

import torch


def scores_of(q: torch.Tensor, keys: torch.Tensor, method: str, size: int) -> torch.Tensor:
    """Return [Hkv, n] scores of queries [n, H, D] for each `size` of keys [S, Hkv, D]."""
    kv_heads = keys.shape[1]
    group, found = q.shape[1] // kv_heads, torch.empty(kv_heads, -(-len(keys) // size))
    for head in range(kv_heads):
        mine = q[:, head * group : (head + 1) * group]
        for page in range(found.shape[1]):
            part = keys[page * size : (page + 1) * size, head]
            if method == "mean":
                found[head, page] = (mine.mean(0) @ part.mean(0)).max()
            else:
                bound = torch.maximum(mine * part.amin(0), mine * part.amax(0)).sum(-1)
                found[head, page] = bound.mean(0).max()
    return found


def kept(scores: torch.Tensor, *, own: int, budget: int, sink: int, local: int) -> set[int]:
    """Return the blocks that are kept of `scores` up to block `own`."""
    always = {block for block in range(own + 1) if block < sink or block > own - local}
    rest = sorted(set(range(own + 1)) - always, key=lambda block: -float(scores[block]))
    return always | set(rest[: max(0, budget - len(always))])


def seen_by_block(
    q: torch.Tensor, keys: torch.Tensor, method: str, *, budget: int, sink: int, local: int, block: int = 64, page: int
) -> torch.Tensor:
    """Return bool [H, n, S]: what each of the last n tokens may look at of S keys, by blocks, not causal yet.

    The keys before the first query must fill whole blocks.
    """
    n, total, kv_heads = len(q), len(keys), keys.shape[1]
    group, before = q.shape[1] // kv_heads, total - n
    seen = torch.zeros(q.shape[1], n, total, dtype=torch.bool)
    for begin in range(0, n, block):
        end = min(begin + block, n)
        # A row of queries knows the pages up to its last one, as they are when the whole chunk is written.
        scores = scores_of(q[begin:end], keys, method, block if method == "mean" else page)
        for head in range(kv_heads):
            blocks = _of_blocks(scores[head], 1 if method == "mean" else block // page)
            for one in kept(blocks, own=(before + begin) // block, budget=budget, sink=sink, local=local):
                seen[head * group : (head + 1) * group, begin:end, one * block : (one + 1) * block] = True
    return seen


def seen_by_page(
    q: torch.Tensor, keys: torch.Tensor, method: str, *, budget: int, sink: int, local: int, page: int
) -> torch.Tensor:
    """Return bool [H, 1, S]: what the newest token may look at of S keys, by pages."""
    kv_heads = keys.shape[1]
    group = q.shape[1] // kv_heads
    scores = scores_of(q, keys, method, page)
    seen = torch.zeros(q.shape[1], 1, len(keys), dtype=torch.bool)
    for head in range(kv_heads):
        for one in kept(scores[head], own=(len(keys) - 1) // page, budget=budget, sink=sink, local=local):
            seen[head * group : (head + 1) * group, 0, one * page : (one + 1) * page] = True
    return seen


def _of_blocks(scores: torch.Tensor, pages: int) -> torch.Tensor:
    """Return the best score of each run of `pages`, the last of which may be short."""
    short = -len(scores) % pages
    return torch.nn.functional.pad(scores, (0, short), value=-torch.inf).view(-1, pages).amax(-1)
