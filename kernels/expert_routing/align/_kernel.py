"""The Triton kernels of expert alignment: one program for a small batch, else count, scan and scatter.

The order within an expert comes from comparing places, never from who arrives first, so that the same ids give the same
lists on every run.
"""

from collections.abc import Mapping

import torch
import triton
import triton.language as tl

from headrace.kernels import tuned


def align(
    ids: torch.Tensor, num_experts: int, block_m: int, blocks: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Launch the kernels for `blocks` blocks; see `moe_align`."""
    flat = ids.reshape(-1)
    sorted_ids = torch.empty(blocks * block_m, dtype=torch.int32, device=ids.device)
    expert_ids = torch.empty(blocks, dtype=torch.int32, device=ids.device)
    num_post = torch.empty(1, dtype=torch.int32, device=ids.device)
    row = tuned.choose("moe_align", tuned.arch(ids.device), n=flat.numel())
    with torch.cuda.device_of(ids):
        if flat.numel() <= row["block_n"]:
            _align_in_one(flat, num_experts, block_m, (sorted_ids, expert_ids, num_post), row)
        else:
            _align_in_three(flat, num_experts, block_m, (sorted_ids, expert_ids, num_post), row)
    return sorted_ids, expert_ids, num_post


def _align_in_one(
    flat: torch.Tensor,
    num_experts: int,
    block_m: int,
    lists: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    row: Mapping[str, int],
) -> None:
    align_kernel[(1,)](
        flat,
        *lists,
        flat.numel(),
        num_experts,
        lists[1].numel(),
        BLOCK_M=block_m,
        BLOCK_N=row["block_n"],
        BLOCK_E=triton.next_power_of_2(num_experts),
        BLOCK_J=row["block_j"],
        BLOCK_FILL=row["block_fill"],
        num_warps=row["num_warps"],
        num_stages=row["num_stages"],
    )


def _align_in_three(
    flat: torch.Tensor,
    num_experts: int,
    block_m: int,
    lists: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    row: Mapping[str, int],
) -> None:
    sorted_ids, expert_ids, num_post = lists
    places, blocks = flat.numel(), expert_ids.numel()
    chunks = triton.cdiv(places, row["block_n"])
    counts = torch.empty((chunks, num_experts), dtype=torch.int32, device=flat.device)
    totals = torch.empty(num_experts, dtype=torch.int32, device=flat.device)
    block_e = triton.next_power_of_2(num_experts)
    how = {"num_warps": row["num_warps"], "num_stages": row["num_stages"]}
    count_kernel[(max(chunks, triton.cdiv(blocks * block_m, row["block_fill"])),)](
        flat, counts, sorted_ids, expert_ids, places, num_experts, chunks, blocks,
        BLOCK_M=block_m, BLOCK_N=row["block_n"], BLOCK_E=block_e, BLOCK_FILL=row["block_fill"], **how,
    )  # fmt: skip
    scan_kernel[(triton.cdiv(num_experts, row["block_scan"]),)](
        counts, totals, num_experts, chunks, BLOCK_P=row["block_p"], BLOCK_E=row["block_scan"], **how
    )
    scatter_kernel[(chunks,)](
        flat, counts, totals, sorted_ids, expert_ids, num_post, places, num_experts,
        BLOCK_M=block_m, BLOCK_N=row["block_n"], BLOCK_E=block_e, BLOCK_J=row["block_j"], **how,
    )  # fmt: skip


@triton.jit
def align_kernel(
    ids_ptr,  # [N]
    sorted_ptr,  # [num_blocks * BLOCK_M] i32
    owner_ptr,  # [num_blocks] i32
    num_post_ptr,  # [1] i32
    N,
    E,
    num_blocks,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,  # >= N
    BLOCK_E: tl.constexpr,
    BLOCK_J: tl.constexpr,
    BLOCK_FILL: tl.constexpr,
):
    for first in range(0, num_blocks * BLOCK_M, BLOCK_FILL):
        _fill(sorted_ptr, owner_ptr, first, N, num_blocks, BLOCK_M, BLOCK_FILL)
    place, expert, is_here = _load_ids(ids_ptr, 0, N, E, BLOCK_N)
    totals = tl.histogram(expert, BLOCK_E, mask=is_here)  # [BLOCK_E]
    starts, num_post = _starts(totals, BLOCK_M)
    rank = _ranks(ids_ptr, 0, place, N, E, expert, BLOCK_N, BLOCK_J)
    tl.debug_barrier()  # what was filled lies below what is scattered
    _scatter(sorted_ptr, owner_ptr, starts, place, expert, rank, is_here, BLOCK_M)
    tl.store(num_post_ptr, num_post)


@triton.jit
def count_kernel(
    ids_ptr,  # [N]
    counts_ptr,  # [chunks, E] i32: how many of each chunk go to each expert
    sorted_ptr,  # [num_blocks * BLOCK_M] i32
    owner_ptr,  # [num_blocks] i32
    N,
    E,
    chunks,
    num_blocks,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_FILL: tl.constexpr,
):
    chunk = tl.program_id(0)
    _fill(sorted_ptr, owner_ptr, chunk * BLOCK_FILL, N, num_blocks, BLOCK_M, BLOCK_FILL)
    if chunk < chunks:
        _, expert, is_here = _load_ids(ids_ptr, chunk * BLOCK_N, N, E, BLOCK_N)
        counts = tl.histogram(expert, BLOCK_E, mask=is_here)
        each = tl.arange(0, BLOCK_E)
        tl.store(counts_ptr + chunk.to(tl.int64) * E + each, counts, mask=each < E)


@triton.jit
def scan_kernel(
    counts_ptr,  # [chunks, E] i32: replaced by the sum over the chunks before
    totals_ptr,  # [E] i32
    E,
    chunks,
    BLOCK_P: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    each = tl.program_id(0) * BLOCK_E + tl.arange(0, BLOCK_E)
    before = tl.zeros([BLOCK_E], tl.int32)
    for first in range(0, chunks, BLOCK_P):
        chunk = first + tl.arange(0, BLOCK_P)
        at = counts_ptr + chunk[:, None].to(tl.int64) * E + each[None, :]
        mask = (chunk < chunks)[:, None] & (each < E)[None, :]
        counts = tl.load(at, mask=mask, other=0)  # [BLOCK_P, BLOCK_E]
        tl.store(at, before[None, :] + tl.cumsum(counts, 0) - counts, mask=mask)
        before += tl.sum(counts, 0)
    tl.store(totals_ptr + each, before, mask=each < E)


@triton.jit
def scatter_kernel(
    ids_ptr,  # [N]
    before_ptr,  # [chunks, E] i32: how many of the chunks before go to each expert
    totals_ptr,  # [E] i32
    sorted_ptr,  # [num_blocks * BLOCK_M] i32, filled
    owner_ptr,  # [num_blocks] i32, filled
    num_post_ptr,  # [1] i32
    N,
    E,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    chunk = tl.program_id(0)
    each = tl.arange(0, BLOCK_E)
    totals = tl.load(totals_ptr + each, mask=each < E, other=0)
    before = tl.load(before_ptr + chunk.to(tl.int64) * E + each, mask=each < E, other=0)
    starts, num_post = _starts(totals, BLOCK_M)
    first = chunk * BLOCK_N
    place, expert, is_here = _load_ids(ids_ptr, first, N, E, BLOCK_N)
    rank = _ranks(ids_ptr, first, place, N, E, expert, BLOCK_N, BLOCK_J)
    _scatter(sorted_ptr, owner_ptr, starts + before, place, expert, rank, is_here, BLOCK_M)
    if chunk == 0:
        tl.store(num_post_ptr, num_post)


@triton.jit
def _load_ids(ids_ptr, first, N, E, BLOCK: tl.constexpr):
    # The places of a chunk, their experts, and which of them are here: an id outside 0..E-1 counts as none.
    place = first + tl.arange(0, BLOCK)
    raw = tl.load(ids_ptr + place, mask=place < N, other=-1)
    is_here = (raw >= 0) & (raw < E)
    return place, tl.where(is_here, raw, 0).to(tl.int32), is_here


@triton.jit
def _starts(totals, BLOCK_M: tl.constexpr):
    # Where each expert's rows begin, a multiple of BLOCK_M, and where the last one's end.
    padded = (totals + BLOCK_M - 1) // BLOCK_M * BLOCK_M
    return tl.cumsum(padded, 0) - padded, tl.sum(padded, 0)


@triton.jit
def _ranks(ids_ptr, first, place, N, E, expert, BLOCK_N: tl.constexpr, BLOCK_J: tl.constexpr):
    # How many earlier places of the chunk have the same expert: [BLOCK_N]. Places lie along the lanes, so a lane adds
    # up on its own.
    rank = tl.zeros([BLOCK_N], tl.int32)
    for skip in range(0, BLOCK_N, BLOCK_J):
        other, theirs, is_here = _load_ids(ids_ptr, first + skip, N, E, BLOCK_J)
        same = (theirs[:, None] == expert[None, :]) & (other[:, None] < place[None, :]) & is_here[:, None]
        rank += tl.sum(same.to(tl.int32), 0)
    return rank


@triton.jit
def _fill(sorted_ptr, owner_ptr, first, N, num_blocks, BLOCK_M: tl.constexpr, BLOCK_FILL: tl.constexpr):
    # Slots first.. and the blocks that begin among them, as if nothing were here.
    slot = first + tl.arange(0, BLOCK_FILL)
    is_slot = slot < num_blocks * BLOCK_M
    tl.store(sorted_ptr + slot, tl.zeros([BLOCK_FILL], tl.int32) + N, mask=is_slot)
    tl.store(owner_ptr + slot // BLOCK_M, tl.full([BLOCK_FILL], -1, tl.int32), mask=is_slot & (slot % BLOCK_M == 0))


@triton.jit
def _scatter(sorted_ptr, owner_ptr, starts, place, expert, rank, is_here, BLOCK_M: tl.constexpr):
    # The first row of a block names the block's expert.
    slot = tl.gather(starts, expert, 0) + rank
    tl.store(sorted_ptr + slot, place, mask=is_here)
    tl.store(owner_ptr + slot // BLOCK_M, expert, mask=is_here & (slot % BLOCK_M == 0))
