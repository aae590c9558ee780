"""`sparse_prefill` in torch: the listed blocks are gathered and multiplied, some query blocks of all heads at a time.

Memory is bounded by a portion, whatever the context. On a CPU a portion is as wide as its longest list; elsewhere as
a list can be, because looking would make the host wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch

PORTION_SCORES: Final = 1 << 20
"""How many scores a portion computes at most, a single query block apart."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The arguments of one call, as `sparse_prefill` has checked them; window 0 is no window."""

    q: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    block_table: torch.Tensor
    cu_q: torch.Tensor
    seq_lens: torch.Tensor
    idx: torch.Tensor
    cnt: torch.Tensor
    window: int
    sink: int
    scale: float
    softcap: float
    block_q: int
    block_kv: int


def attend(problem: Problem, *, may_look: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return o [T, H, D] and lse [H, T] float32. may_look: the host may read counts, as it may those of a CPU."""
    tokens, heads, head_dim = problem.q.shape
    # one row more than there are queries: the rows of a block past its sequence's end land there
    out = problem.q.new_zeros((tokens + 1, heads, head_dim))
    lse = problem.q.new_full((tokens + 1, heads), float("-inf"), dtype=torch.float32)
    for blocks, listed in _portions(problem, may_look=may_look):
        _attend_blocks(problem, blocks, listed, out, lse)
    return out[:tokens], lse[:tokens].T.contiguous()


def _portions(problem: Problem, *, may_look: bool) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield (query blocks, how many blocks their lists may hold), each portion within the bound on scores."""
    device = problem.q.device
    blocks, most = torch.arange(problem.cnt.shape[1], device=device), problem.idx.shape[2]
    a_block = problem.q.shape[1] * problem.block_q * problem.block_kv
    if not may_look:
        several = max(1, PORTION_SCORES // max(1, a_block * most))
        yield from ((portion, most) for portion in torch.split(blocks, several))
        return
    counts = problem.cnt.amax(0).clamp(max=most)
    blocks = blocks[counts > 0]
    widths = counts[blocks].tolist()
    first = 0
    for at in range(len(widths)):
        widest = max(widths[first : at + 1])
        if at > first and (at + 1 - first) * widest * a_block > PORTION_SCORES:
            yield blocks[first:at], max(widths[first:at])
            first = at
    if widths[first:]:
        yield blocks[first:], max(widths[first:])


def _attend_blocks(problem: Problem, blocks: torch.Tensor, listed: int, out: torch.Tensor, lse: torch.Tensor) -> None:
    """Attend for the query blocks [C], whose lists are cut at `listed`, and write their rows."""
    tokens, heads, head_dim = problem.q.shape
    kv_heads = problem.k_cache.shape[2]
    work = torch.promote_types(problem.q.dtype, torch.float32)
    token, at_q = _queries(problem, blocks)  # [C, M] each
    at_k, is_key, keys, values = _keys(problem, blocks, listed, work)  # [Hkv, C, N], the same, [Hkv, C, N, D] twice
    count, rows = token.shape
    q = problem.q[token.clamp(max=tokens - 1)].to(work) * problem.scale  # [C, M, H, D]
    q = q.view(count, rows, kv_heads, -1, head_dim).permute(2, 0, 3, 1, 4).reshape(kv_heads, count, -1, head_dim)
    scores = q @ keys.transpose(2, 3)  # [Hkv, C, G * M, N]
    if problem.softcap:
        scores = torch.tanh_(scores.div_(problem.softcap)).mul_(problem.softcap)
    at_k, at_q = at_k[:, :, None], at_q[None, :, :, None]
    sees = is_key[:, :, None] & (at_k <= at_q)  # [Hkv, C, M, N]
    if problem.window:
        sees &= (at_q - at_k < problem.window) | (at_k < problem.sink)
    scores.view(kv_heads, count, -1, rows, scores.shape[3]).masked_fill_(~sees[:, :, None], float("-inf"))
    most = scores.amax(3, keepdim=True)
    most = torch.where(most == float("-inf"), 0.0, most)
    weights = scores.sub_(most).exp_()
    total = weights.sum(3, keepdim=True)
    log_sum = (most + total.log()).squeeze(3)  # [Hkv, C, G * M]
    o = (weights @ values).div_(torch.where(total == 0, 1.0, total))
    o = o.view(kv_heads, count, -1, rows, head_dim).permute(1, 3, 0, 2, 4)
    out[token] = o.reshape(count, rows, heads, head_dim).to(out.dtype)
    log_sum = log_sum.view(kv_heads, count, -1, rows).permute(1, 3, 0, 2)
    lse[token] = log_sum.reshape(count, rows, heads).to(torch.float32)


def _queries(problem: Problem, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for query blocks [C], the token of each row [C, M] (T past a sequence's end) and its position [C, M]."""
    a_sequence = problem.cnt.shape[1] // problem.seq_lens.shape[0]
    sequence = blocks // a_sequence
    rows = (blocks % a_sequence * problem.block_q)[:, None] + torch.arange(problem.block_q, device=blocks.device)
    start = problem.cu_q[sequence].long()[:, None]
    length = problem.cu_q[sequence + 1].long()[:, None] - start
    token = torch.where(rows < length, start + rows, problem.q.shape[0])
    return token, problem.seq_lens[sequence].long()[:, None] - length + rows


def _keys(
    problem: Problem, blocks: torch.Tensor, listed: int, work: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the positions, which of them exist, keys and values of the lists of the query blocks [C]."""
    sequence = (blocks // (problem.cnt.shape[1] // problem.seq_lens.shape[0]))[None, :, None]  # [1, C, 1]
    device, page = blocks.device, problem.k_cache.shape[1]
    block = problem.idx[:, blocks, :listed].long()  # [Hkv, C, L]
    is_listed = torch.arange(listed, device=device) < problem.cnt[:, blocks, None]
    at_k = (block * problem.block_kv)[..., None] + torch.arange(problem.block_kv, device=device)
    is_key = (is_listed & (block >= 0))[..., None] & (at_k < problem.seq_lens[sequence][..., None])
    at_k, is_key = at_k.flatten(2), is_key.flatten(2)  # [Hkv, C, N]
    is_key &= at_k // page < problem.block_table.shape[1]
    logical = torch.where(is_key, at_k // page, 0)
    physical = problem.block_table[sequence, logical].long()
    is_key &= (physical >= 0) & (physical < problem.k_cache.shape[0])
    place = torch.where(is_key, physical, 0), torch.where(is_key, at_k % page, 0)
    kv_head = torch.arange(problem.k_cache.shape[2], device=device)[:, None, None]
    keys = problem.k_cache[place[0], place[1], kv_head].to(work)
    values = problem.v_cache[place[0], place[1], kv_head].to(work)
    return at_k, is_key, keys, values.masked_fill_(~is_key[..., None], 0)
