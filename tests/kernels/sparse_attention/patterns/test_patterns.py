from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels.sparse_attention import patterns
from headrace.kernels.sparse_attention.patterns import QueryBlocks, query_blocks, reference

HEADS = 3
BLOCK = 4


def lists_of(indices: torch.Tensor, counts: torch.Tensor) -> list[list[list[int]]]:
    """Return the lists, having looked that what is unused is -1."""
    cap = indices.shape[-1]
    used = torch.arange(cap) < counts[..., None]
    assert indices.is_contiguous()
    assert indices.dtype == counts.dtype == torch.int32
    assert bool((indices[~used] == -1).all())
    return [
        [indices[head, row, : int(counts[head, row])].tolist() for row in range(indices.shape[1])]
        for head in range(indices.shape[0])
    ]


def batch(query_lens: list[int], prefixes: list[int], **sizes: int) -> QueryBlocks:
    seq_lens = [queries + prefix for queries, prefix in zip(query_lens, prefixes, strict=True)]
    return query_blocks(
        torch.tensor([0, *query_lens]).cumsum(0).int(),
        seq_lens=torch.tensor(seq_lens, dtype=torch.int32),
        max_seqlen_q=max(query_lens, default=0),
        max_seqlen_k=max(seq_lens, default=0),
        **sizes,
    )


def _window(_head: int, first: int, last: int, *, window: int, sink: int, block_kv: int) -> set[int]:
    return reference.near(first, last, window_blocks=window, block_kv=block_kv) | set(range(sink))


def _longformer(_head: int, first: int, last: int, *, window: int, globals_: list[int], block_kv: int) -> set[int]:
    own = range(first // block_kv, last // block_kv + 1)
    if any(block in own for block in globals_):
        return set(range(last // block_kv + 1))
    return reference.near(first, last, window_blocks=window, block_kv=block_kv) | set(globals_)


def _bigbird(head: int, first: int, last: int, *, sizes: tuple[int, int, int], seed: int, block_kv: int) -> set[int]:
    window, globals_, number = sizes
    fixed = _window(head, first, last, window=window, sink=globals_, block_kv=block_kv)
    left = set(range(last // block_kv + 1)) - fixed
    return fixed | reference.random_blocks(left, head=head, row=first // BLOCK, seed=seed, number=number)


LENGTHS = st.lists(st.tuples(st.integers(0, 21), st.integers(0, 30)), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, block_kv=st.sampled_from([2, 4, 8]), data=st.data())
def test_each_pattern_lists_what_its_definition_says(
    lengths: list[tuple[int, int]], block_kv: int, data: st.DataObject
) -> None:
    query_lens, prefixes = [one for one, _ in lengths], [one for _, one in lengths]
    window, sink, number = (data.draw(st.integers(low, 4)) for low in (1, 0, 0))
    globals_ = data.draw(st.lists(st.integers(0, 9), max_size=3))
    seed = data.draw(st.integers(-5, 5))
    rows = batch(query_lens, prefixes, block_q=BLOCK, block_kv=block_kv)
    told = [
        (
            patterns.dense(rows, num_kv_heads=HEADS),
            lambda _head, _first, last: set(range(last // block_kv + 1)),
        ),
        (
            patterns.sliding_window(rows, num_kv_heads=HEADS, window_blocks=window, sink_blocks=sink),
            partial(_window, window=window, sink=sink, block_kv=block_kv),
        ),
        (
            patterns.longformer(rows, num_kv_heads=HEADS, window_blocks=window, global_blocks=globals_),
            partial(_longformer, window=window, globals_=globals_, block_kv=block_kv),
        ),
        (
            patterns.bigbird(
                rows,
                num_kv_heads=HEADS,
                window_blocks=window,
                global_blocks=sink,
                random_blocks=number,
                seed=seed,
            ),
            partial(_bigbird, sizes=(window, sink, number), seed=seed, block_kv=block_kv),
        ),
    ]
    seq_lens = [one + other for one, other in lengths]
    for found, choose in told:
        extents = reference.rows(query_lens, seq_lens, max(query_lens), BLOCK)
        assert lists_of(*found) == reference.kept(extents, HEADS, choose, block_kv)


def test_a_draw_depends_neither_on_the_batch_nor_on_the_chunking() -> None:
    draw = partial(patterns.bigbird, num_kv_heads=2, window_blocks=1, global_blocks=1, random_blocks=3, seed=7)
    whole = lists_of(*draw(batch([40], [0], block_q=4, block_kv=4)))
    chunked = lists_of(*draw(batch([5, 16], [3, 24], block_q=4, block_kv=4)))
    assert [head[4:8] for head in chunked] == [head[6:10] for head in whole]


def test_another_seed_and_another_head_draw_other_blocks() -> None:
    rows = batch([256], [0], block_q=4, block_kv=4)
    draws = [
        patterns.bigbird(rows, num_kv_heads=2, window_blocks=1, global_blocks=0, random_blocks=4, seed=seed)[0]
        for seed in (1, 2)
    ]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0][0], draws[0][1])


def test_draws_are_spread_evenly_over_what_is_left() -> None:
    rows = batch([4], [400 * 4], block_q=4, block_kv=4)
    drawn, _ = patterns.bigbird(rows, num_kv_heads=400, window_blocks=1, global_blocks=0, random_blocks=40, seed=3)
    hits = torch.bincount(drawn[drawn >= 0].flatten(), minlength=401)[:400]
    assert int(hits.sum()) == 400 * 40
    # 40 expected each, standard deviation 6: no block is favoured by five of them.
    assert bool((hits > 10).all())
    assert bool((hits < 70).all())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda rows: patterns.dense(rows, num_kv_heads=0), "num_kv_heads=0; wanted 1 or more"),
        (lambda rows: patterns.sliding_window(rows, num_kv_heads=1, window_blocks=0), "window_blocks=0; wanted 1"),
        (
            lambda rows: patterns.sliding_window(rows, num_kv_heads=1, window_blocks=1, sink_blocks=-1),
            "sink_blocks=-1; wanted 0",
        ),
        (
            lambda rows: patterns.longformer(rows, num_kv_heads=1, window_blocks=1, global_blocks=[4, -2]),
            r"global_blocks\[0\]=-2; wanted 0",
        ),
        (
            lambda rows: patterns.bigbird(
                rows, num_kv_heads=1, window_blocks=1, global_blocks=0, random_blocks=-1, seed=0
            ),
            "random_blocks=-1; wanted 0",
        ),
    ],
)
def test_a_size_that_makes_no_sense_is_named(call: Callable[[QueryBlocks], object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        call(batch([8], [0], block_q=4, block_kv=4))


def test_patterns_compile_into_one_graph() -> None:
    def chosen(cu_seqlens: torch.Tensor, seq_lens: torch.Tensor) -> list[torch.Tensor]:
        rows = query_blocks(cu_seqlens, seq_lens=seq_lens, max_seqlen_q=20, max_seqlen_k=60, block_q=4, block_kv=8)
        heads = {"num_kv_heads": 2, "window_blocks": 2}
        return [
            *patterns.sliding_window(rows, **heads, sink_blocks=1),
            *patterns.longformer(rows, **heads, global_blocks=(0, 3)),
            *patterns.bigbird(rows, **heads, global_blocks=1, random_blocks=2, seed=5),
        ]

    given_ = torch.tensor([0, 20, 27], dtype=torch.int32), torch.tensor([45, 7], dtype=torch.int32)
    compiled = torch.compile(chosen, fullgraph=True, backend="eager")
    assert all(torch.equal(one, other) for one, other in zip(compiled(*given_), chosen(*given_), strict=True))
