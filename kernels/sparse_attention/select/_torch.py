"""Choosing blocks with torch's own operators: the path of hosts without a GPU, and of what the kernels do not take."""

from typing import Final

import torch

from headrace.kernels.sparse_attention.patterns.lists import UNUSED, QueryBlocks, block_lists, rows_of
from headrace.kernels.sparse_attention.select.choice import Choice, Given

_HIGHEST: Final = 1.7e38  # half of what float32 holds, so that the difference of two scores is finite
_GATHERED: Final = 1 << 26  # elements of page metadata gathered at a time


def select(given: Given, choice: Choice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (indices [Hkv, rows, max_listed], counts [Hkv, rows]); in decode the pages of `keep`."""
    return keep(score(given, choice), given, choice)


def score(given: Given, choice: Choice) -> torch.Tensor:
    """Return float32 scores [Hkv, rows, max_blocks]; what a row does not see has no meaning."""
    q, kmeta, block_table, cu_seqlens, seq_lens = given
    batch, kv_heads, size = seq_lens.shape[0], kmeta.shape[-2], q.shape[-1]
    if not batch * choice.max_rows * choice.max_blocks * kv_heads:
        return q.new_empty((kv_heads, batch * choice.max_rows, choice.max_blocks), dtype=torch.float32)
    pooled = _parts(q, choice) if choice.is_decode else pool(q, cu_seqlens, choice)
    # [b, rows, parts, Hkv, G, D], rounded as the kernel rounds it
    pooled = pooled.to(kmeta.dtype).float().view(batch, choice.max_rows, -1, kv_heads, q.shape[1] // kv_heads, size)
    pages = choice.max_blocks * choice.pages_per_block
    scores = q.new_empty((batch, choice.max_rows, kv_heads, choice.max_blocks), dtype=torch.float32)
    step = max(1, _GATHERED // max(1, pages * kv_heads * size * pooled.shape[2]))
    for first in range(0, batch, step):
        part = slice(first, first + step)
        scores[part] = _block_scores(pooled[part], kmeta, block_table[part], seq_lens[part], choice)
    return scores.permute(2, 0, 1, 3).flatten(1, 2)


def pool(q: torch.Tensor, cu_seqlens: torch.Tensor, choice: Choice) -> torch.Tensor:
    """Return each row's mean query [rows, 1, H, D], in minmax its parts above and below 0 [rows, 2, H, D], float32."""
    cu = cu_seqlens.long()
    starts = cu[:-1, None] + torch.arange(choice.max_rows, device=q.device) * choice.block_q
    offsets = torch.cat([torch.minimum(starts, cu[1:, None]).flatten(), cu[-1:]])
    sums = torch.segment_reduce(_parts(q.float(), choice), "sum", offsets=offsets, axis=0, unsafe=True, initial=0)
    return sums / offsets.diff().clamp(min=1)[:, None, None, None]


def keep(scores: torch.Tensor, given: Given, choice: Choice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lists of the best blocks of `scores` [Hkv, rows, max_blocks], and their counts.

    In decode: int32 physical pages [B, Hkv, max_listed], and tokens in them [B, Hkv].
    """
    if not scores.numel():
        return _no_lists(scores, choice)
    rows = _rows(given, choice)
    sees, forced = rows.is_visible, rows.always_in(sink=choice.sink, local=choice.local)
    # Adding 0 makes -0 equal to 0 in every sort.
    sane = _sane(scores.float()) + 0.0
    ranked = torch.where(forced, torch.inf, torch.where(sees, sane, -torch.inf))
    order = ranked.sort(dim=-1, descending=True, stable=True).indices
    least = forced.sum(-1)
    number = torch.minimum(least.clamp(min=choice.budget), rows.visible).expand(scores.shape[:2])
    if choice.share is not None:
        number = torch.minimum(number, torch.maximum(_number_for_mass(sane, sees, order, choice.share), least))
    places = torch.arange(choice.max_blocks, device=scores.device)
    kept = torch.zeros_like(order, dtype=torch.bool).scatter(-1, order, places < number[..., None])
    indices, counts = block_lists(kept, choice.max_listed)
    if not choice.is_decode:
        return indices, counts
    indices, counts = indices.transpose(0, 1), counts.T
    table = given.block_table[:, None].expand(-1, indices.shape[1], -1)
    pages = torch.where(indices >= 0, table.gather(-1, indices.clamp(min=0).long()), UNUSED)
    missing = rows.visible * choice.page_size - given.seq_lens.clamp(max=choice.max_blocks * choice.page_size)
    tokens = (counts * choice.page_size - missing[:, None]).clamp(min=0)
    return pages.contiguous(), tokens.int().contiguous()


def _no_lists(scores: torch.Tensor, choice: Choice) -> tuple[torch.Tensor, torch.Tensor]:
    shape = choice.lists_shape(scores.shape[1] // max(1, choice.max_rows), scores.shape[0])
    indices = scores.new_full((*shape, choice.max_listed), UNUSED, dtype=torch.int32)
    return indices, scores.new_zeros(shape, dtype=torch.int32)


def _rows(given: Given, choice: Choice) -> QueryBlocks:
    if choice.is_decode:
        last = given.seq_lens.long().clamp(max=choice.max_blocks * choice.page_size) - 1
        return QueryBlocks(last, last, choice.max_blocks, 1, choice.block_kv)
    return rows_of(
        given.cu_seqlens,
        given.seq_lens,
        max_seqlen_q=choice.max_rows * choice.block_q,
        max_seqlen_k=choice.max_blocks * choice.block_kv,
        block_q=choice.block_q,
        block_kv=choice.block_kv,
    )


def _block_scores(
    pooled: torch.Tensor, kmeta: torch.Tensor, block_table: torch.Tensor, seq_lens: torch.Tensor, choice: Choice
) -> torch.Tensor:
    """Return scores [b, rows, Hkv, blocks] of pooled queries [b, rows, parts, Hkv, G, D]."""
    batch, rows, _, kv_heads, group, _ = pooled.shape
    pages = torch.arange(choice.max_blocks * choice.pages_per_block, device=kmeta.device)
    filled = (seq_lens[:, None] - pages * choice.page_size).clamp(0, choice.page_size)
    table = torch.nn.functional.pad(block_table, (0, max(0, len(pages) - block_table.shape[1])), value=UNUSED)
    table = table[:, : len(pages)]
    has = (filled > 0) & (table >= 0) & (table < kmeta.shape[0])
    meta = kmeta[torch.where(has, table, 0).long()].float() if kmeta.shape[0] else pooled.new_zeros(
        (*table.shape, *kmeta.shape[1:])
    )  # fmt: skip
    meta = torch.where(has.view(*has.shape, *[1] * (kmeta.dim() - 1)), meta, 0.0)
    by_page = (batch, rows, kv_heads, group, choice.max_blocks, choice.pages_per_block)
    if choice.is_minmax:
        bounds = torch.einsum("bjshgd,bnshd->bjhgn", pooled.flip(2), meta) * choice.scale
        bounds = torch.where(has[:, None, None, None], _sane(bounds), -_HIGHEST)
        return bounds.view(by_page).amax((3, 5))
    tokens = filled.view(batch, choice.max_blocks, -1).sum(-1, keepdim=True).clamp(min=1)
    share = filled.view(batch, choice.max_blocks, -1) / tokens
    means = torch.einsum("bjhgd,bnhd->bjhgn", pooled[:, :, 0], meta).view(by_page)
    return _sane((means * (choice.scale * share[:, None, None, None])).sum(-1)).amax(3)


def _parts(q: torch.Tensor, choice: Choice) -> torch.Tensor:
    """Return q [T, H, D] as [T, 1, H, D], or its positive and its negative parts [T, 2, H, D]; a NaN is in both."""
    return torch.stack([q.masked_fill(q < 0, 0), q.masked_fill(q > 0, 0)], 1) if choice.is_minmax else q[:, None]


def _sane(scores: torch.Tensor) -> torch.Tensor:
    """Make a NaN the lowest score, and cut off what is larger than a score may be."""
    return scores.nan_to_num(nan=-_HIGHEST).clamp(-_HIGHEST, _HIGHEST)


def _number_for_mass(sane: torch.Tensor, sees: torch.Tensor, order: torch.Tensor, share: float) -> torch.Tensor:
    """Return how many of the best blocks reach `share` of the softmax over the visible scores, [Hkv, rows]."""
    shown = torch.where(sees, sane, -torch.inf)
    weight = (shown - shown.amax(-1, keepdim=True).clamp(min=-_HIGHEST)).exp().double().gather(-1, order)
    before = weight.cumsum(-1) - weight
    return (before < share * weight.sum(-1, keepdim=True)).sum(-1)
