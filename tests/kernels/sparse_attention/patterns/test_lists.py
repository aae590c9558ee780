from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels.sparse_attention.patterns import lists


@settings(max_examples=40, deadline=None)
@given(keep=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_lists_name_what_is_kept_in_order(keep: list[list[bool]]) -> None:
    cap = max(sum(row) for row in keep) + 1
    indices, counts = lists.block_lists(torch.tensor(keep), cap)
    wanted = [[block for block, kept in enumerate(row) if kept] for row in keep]
    assert counts.tolist() == [len(row) for row in wanted]
    assert indices.tolist() == [row + [-1] * (cap - len(row)) for row in wanted]


def test_what_passes_the_cap_is_dropped_and_not_counted() -> None:
    indices, counts = lists.block_lists(torch.ones(1, 5, dtype=torch.bool), 3)
    assert (indices.tolist(), counts.tolist()) == ([[0, 1, 2]], [3])


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (2, 0, 5)])
def test_nothing_gives_empty_lists(shape: tuple[int, ...]) -> None:
    indices, counts = lists.block_lists(torch.zeros(shape, dtype=torch.bool), 2)
    assert indices.shape == (*shape[:-1], 2)
    assert counts.eq(0).all()


@pytest.mark.parametrize(
    ("sink", "local", "block_q", "block_kv"), [(0, 1, 4, 4), (2, 3, 8, 2), (1, 2, 3, 16), (0, 1, 1, 4)]
)
def test_no_row_always_keeps_more_than_the_cap_and_some_row_reaches_it(
    sink: int, local: int, block_q: int, block_kv: int
) -> None:
    most = lists.max_always_in(sink=sink, local=local, block_q=block_q, block_kv=block_kv)
    prefixes = torch.arange(200, 200 + block_kv)
    rows = lists.query_blocks(
        torch.arange(block_kv + 1, dtype=torch.int32) * block_q,
        seq_lens=(prefixes + block_q).int(),
        max_seqlen_q=block_q,
        max_seqlen_k=300,
        block_q=block_q,
        block_kv=block_kv,
    )
    assert int(rows.always_in(sink=sink, local=local).sum(-1).max()) == most


def test_a_row_without_queries_sees_nothing() -> None:
    rows = lists.query_blocks(
        torch.tensor([0, 4, 4, 13], dtype=torch.int32), max_seqlen_q=9, max_seqlen_k=9, block_q=4, block_kv=4
    )
    assert rows.visible.tolist() == [1, 0, 0, 0, 0, 0, 1, 2, 3]
    assert rows.last.tolist() == [3, -1, -1, -1, -1, -1, 3, 7, 8]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"cu_seqlens": torch.zeros(2, 2)}, ValueError, r"cu_seqlens has shape \(2, 2\)"),
        ({"cu_seqlens": torch.zeros(0, dtype=torch.int32)}, ValueError, "cu_seqlens is empty"),
        ({"cu_seqlens": torch.zeros(3)}, TypeError, "cu_seqlens has dtype torch.float32; wanted torch.int32"),
        ({"cu_seqlens": torch.tensor([0, 9, 5]).int()}, ValueError, r"values -4..9; wanted 0..8"),
        ({"seq_lens": torch.tensor([4]).int()}, ValueError, r"seq_lens has shape \(1,\); wanted \[2\]"),
        ({"seq_lens": torch.tensor([4, 8])}, TypeError, "seq_lens has dtype torch.int64"),
        ({"seq_lens": torch.tensor([4, 2]).int()}, ValueError, "seq_lens less the queries has values -3..0"),
        ({"seq_lens": torch.tensor([4, 99]).int()}, ValueError, "values 0..94; wanted 0..20"),
        ({"max_seqlen_q": -1}, ValueError, "max_seqlen_q=-1; wanted 0 or more"),
        ({"max_seqlen_k": 4}, ValueError, r"seq_lens has values 4..5; wanted 0..4"),
        ({"block_q": 0}, ValueError, "block_q=0; wanted 1 or more"),
    ],
)
def test_lengths_that_disagree_are_told_with_both_values(
    changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    given_: dict[str, Any] = {
        "cu_seqlens": torch.tensor([0, 4, 9], dtype=torch.int32),
        "max_seqlen_q": 8,
        "max_seqlen_k": 20,
    }
    with pytest.raises(error, match=told):
        lists.query_blocks(**(given_ | changes))
