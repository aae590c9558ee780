"""The patterns in sets of Python integers, one sequence, one row, one head at a time."""

from collections.abc import Callable, Iterator, Sequence

Kept = list[list[list[int]]]


def rows(
    query_lens: Sequence[int], seq_lens: Sequence[int], max_seqlen_q: int, block_q: int
) -> Iterator[tuple[int, int] | None]:
    """Yield the first and last position of each row; None where a sequence has fewer rows."""
    for queries, keys in zip(query_lens, seq_lens, strict=True):
        for start in range(0, max_seqlen_q, block_q):
            end = min(start + block_q, queries)
            yield (keys - queries + start, keys - queries + end - 1) if start < queries else None


def near(first: int, last: int, *, window_blocks: int, block_kv: int) -> set[int]:
    """Return the blocks of the windows that end at each query of a row."""
    found: set[int] = set()
    for position in range(first, last + 1):
        own = position // block_kv
        found |= set(range(max(0, own - window_blocks + 1), own + 1))
    return found


def kept(
    extents: Iterator[tuple[int, int] | None], heads: int, choose: Callable[[int, int, int], set[int]], block_kv: int
) -> Kept:
    """Return the ascending visible blocks that `choose(head, first, last)` names, [heads][rows]."""
    listed = list(extents)
    return [
        [
            sorted(block for block in choose(head, *each) if block <= each[1] // block_kv) if each else []
            for each in listed
        ]
        for head in range(heads)
    ]


def mix(value: int) -> int:
    """Scramble 32 bits."""
    value &= 0xFFFFFFFF
    value = (value ^ (value >> 16)) * 0x7FEB352D & 0xFFFFFFFF
    value = (value ^ (value >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return value ^ (value >> 16)


def random_blocks(candidates: set[int], *, head: int, row: int, seed: int, number: int) -> set[int]:
    """Return the `number` candidates whose scrambled numbers are highest, the higher block first among equals."""
    by_row = mix(mix(mix(seed) + head) + row)
    return set(sorted(candidates, key=lambda block: (mix(by_row + block), block), reverse=True)[:number])
