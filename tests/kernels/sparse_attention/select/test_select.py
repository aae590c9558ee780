from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention import patterns
from headrace.kernels.sparse_attention.select import _select, reference, select_blocks, select_pages
from headrace.kernels.sparse_attention.select.choice import Choice, Given
from tests.support.kernels.block_choice import arguments, batch, lists_of

PATHS = pytest.mark.parametrize("path", ["torch", "triton"])
METHODS = pytest.mark.parametrize("minmax", [False, True], ids=["mean", "minmax"])


@pytest.fixture(autouse=True)
def _on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda path: monkeypatch.setenv(dispatch.MODE_VARIABLE, path)


def chosen_pages(given: Given, choice: Choice) -> tuple[list[list[list[int]]], list[list[int]]]:
    pages, tokens = select_pages(**arguments(given, choice))
    count = (pages >= 0).sum(-1)
    return lists_of(pages, count.int()), tokens.tolist()


@PATHS
@METHODS
@pytest.mark.parametrize("block_kv", [4, 8])
def test_blocks_are_those_of_the_reference(
    path: str, *, minmax: bool, block_kv: int, take: Callable[[str], None]
) -> None:
    take(path)
    given, choice = batch(minmax=minmax, block_kv=block_kv)
    found = lists_of(*select_blocks(**arguments(given, choice)))
    assert found == reference.select(given, choice)


@PATHS
@METHODS
def test_pages_are_those_of_the_reference(path: str, *, minmax: bool, take: Callable[[str], None]) -> None:
    take(path)
    given, choice = batch(prefixes=(3, 30, 12), minmax=minmax, is_decode=True, heads=6, budget=4, local=2)
    given.seq_lens[2] = 0
    assert chosen_pages(given, choice) == reference.pages(given, choice)


LENGTHS = st.lists(st.tuples(st.sampled_from([0, 1, 2, 4, 5, 8, 12]), st.integers(0, 30)), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@drawn(lengths=LENGTHS, minmax=st.booleans(), pages=st.sampled_from([1, 2]), seed=st.integers(0, 99), data=st.data())
def test_torch_keeps_what_the_reference_keeps(
    lengths: list[tuple[int, int]], *, minmax: bool, pages: int, seed: int, data: st.DataObject
) -> None:
    budget, sink, local = (data.draw(st.integers(low, 6)) for low in (1, 0, 1))
    given, choice = batch(
        [one for one, _ in lengths], [one for _, one in lengths], minmax=minmax, block_kv=4 * pages, seed=seed, size=4,
        budget=budget, sink=sink, local=local,
    )  # fmt: skip
    assert lists_of(*select_blocks(**arguments(given, choice))) == reference.select(given, choice)


@settings(max_examples=30, deadline=None)
@drawn(prefixes=st.lists(st.integers(0, 40), min_size=1, max_size=4), minmax=st.booleans(), data=st.data())
def test_a_page_list_ends_in_the_newest_page_and_counts_its_tokens(
    prefixes: list[int], *, minmax: bool, data: st.DataObject
) -> None:
    budget, sink, local = (data.draw(st.integers(low, 6)) for low in (1, 0, 1))
    given, choice = batch(prefixes=prefixes, minmax=minmax, is_decode=True, budget=budget, sink=sink, local=local)
    pages, tokens = chosen_pages(given, choice)
    assert (pages, tokens) == reference.pages(given, choice)
    for sequence, keys in enumerate(given.seq_lens.tolist()):
        for listed, valid in zip(pages[sequence], tokens[sequence], strict=True):
            assert listed[-1] == given.block_table[sequence, (keys - 1) // 4]
            assert valid == 4 * (len(listed) - 1) + (keys - 1) % 4 + 1


@PATHS
@METHODS
def test_a_budget_of_all_keeps_all_in_order(path: str, *, minmax: bool, take: Callable[[str], None]) -> None:
    take(path)
    given, choice = batch(minmax=minmax, budget=99)
    rows = patterns.query_blocks(
        given.cu_seqlens, seq_lens=given.seq_lens, max_seqlen_q=8, max_seqlen_k=27, block_q=4, block_kv=4
    )
    indices, counts = select_blocks(**arguments(given, choice))
    wanted, wanted_counts = patterns.dense(rows, num_kv_heads=2)
    assert torch.equal(indices, wanted)
    assert torch.equal(counts, wanted_counts)


@PATHS
def test_among_equal_scores_the_lower_block_wins(path: str, take: Callable[[str], None]) -> None:
    take(path)
    given, choice = batch((4,), (36,), budget=4, sink=0)
    given.kmeta.fill_(1)
    assert lists_of(*select_blocks(**arguments(given, choice))) == [[[0, 1, 2, 9]]] * 2


@PATHS
@METHODS
def test_a_page_with_a_nan_comes_last_and_stays_where_it_is_always_in(
    path: str, *, minmax: bool, take: Callable[[str], None]
) -> None:
    take(path)
    given, choice = batch((4,), (36,), minmax=minmax, budget=9, sink=1)
    given.kmeta[given.block_table[0, [0, 5]].long()] = torch.nan
    assert lists_of(*select_blocks(**arguments(given, choice))) == [[[0, 1, 2, 3, 4, 6, 7, 8, 9]]] * 2


@PATHS
def test_a_query_of_nan_leaves_the_choice_to_the_other_heads_of_its_group(
    path: str, take: Callable[[str], None]
) -> None:
    take(path)
    given, choice = batch((4,), (36,), heads=2, kv_heads=1)
    alone = given.q.clone()
    alone[:, 0] = alone[:, 1]
    given.q[2, 0] = torch.nan
    found = lists_of(*select_blocks(**arguments(given, choice)))
    assert found == lists_of(*select_blocks(**arguments(given._replace(q=alone), choice)))


@PATHS
def test_top_p_keeps_the_fewest_that_reach_it(path: str, take: Callable[[str], None]) -> None:
    take(path)
    given, choice = batch(budget=99, sink=1, share=0.9, seed=3)
    found = lists_of(*select_blocks(**arguments(given, choice)))
    assert found == reference.select(given, choice)
    assert max(len(row) for head in found for row in head) < choice.max_blocks


@settings(max_examples=30, deadline=None)
@drawn(share=st.floats(0.01, 1), budget=st.integers(1, 9), sink=st.integers(0, 2), seed=st.integers(0, 99))
def test_top_p_stops_at_its_share_or_at_the_budget_and_drops_nothing_that_is_always_in(
    share: float, budget: int, sink: int, seed: int
) -> None:
    given, choice = batch((8,), (32,), budget=budget, sink=sink, share=share, seed=seed, heads=2)
    found = lists_of(*select_blocks(**arguments(given, choice)))
    all_in = lists_of(*select_blocks(**arguments(given, replace(choice, share=None, budget=1))))
    by_budget = lists_of(*select_blocks(**arguments(given, replace(choice, share=None))))
    for head, by_row in enumerate(reference.scores(given, choice)):
        for row, scores in enumerate(by_row):
            kept, always = found[head][row], set(all_in[head][row])
            assert always <= set(kept) <= set(by_budget[head][row])
            goal = share * reference.mass(scores, list(range(len(scores))))
            if len(kept) < len(by_budget[head][row]):
                assert reference.mass(scores, kept) >= goal * (1 - 1e-5)
            worst = min((block for block in kept if block not in always), key=lambda block: scores[block], default=None)
            if worst is not None:
                assert reference.mass(scores, [block for block in kept if block != worst]) < goal * (1 + 1e-5)


@METHODS
def test_a_prompt_in_chunks_keeps_what_the_whole_prompt_keeps(*, minmax: bool) -> None:
    given, choice = batch((32,), (0,), minmax=minmax)
    whole = lists_of(*select_blocks(**arguments(given, choice)))
    for start in range(0, 32, 8):
        chunk = given._replace(
            q=given.q[start : start + 8],
            cu_seqlens=torch.tensor([0, 8], dtype=torch.int32),
            seq_lens=torch.tensor([start + 8], dtype=torch.int32),
        )
        found = lists_of(*select_blocks(**arguments(chunk, replace(choice, max_rows=2))))
        assert found == [head[start // 4 : start // 4 + 2] for head in whole]


def test_without_seq_lens_there_is_no_prefix() -> None:
    given, choice = batch((5, 9), (0, 0))
    told = arguments(given, choice)
    without = select_blocks(**{name: value for name, value in told.items() if name != "seq_lens"})
    assert all(torch.equal(one, other) for one, other in zip(without, select_blocks(**told), strict=True))


def test_a_page_is_a_block_and_scores_are_scaled_by_the_head_unless_told() -> None:
    given, choice = batch(share=0.7, budget=9)
    told = arguments(given, choice)
    usual = select_blocks(**{name: value for name, value in told.items() if name not in {"page_size", "scale"}})
    assert all(torch.equal(one, other) for one, other in zip(usual, select_blocks(**told), strict=True))
    flat = select_blocks(**told | {"scale": 0.0})[1]
    assert bool((flat >= usual[1]).all())
    assert not torch.equal(flat, usual[1])


@PATHS
@METHODS
@pytest.mark.parametrize(("query_lens", "prefixes"), [((), ()), ((0, 0), (0, 0)), ((0,), (9,))])
def test_nothing_to_choose_gives_empty_lists(
    path: str,
    *,
    minmax: bool,
    query_lens: tuple[int, ...],
    prefixes: tuple[int, ...],
    take: Callable[[str], None],
) -> None:
    take(path)
    given, choice = batch(query_lens, prefixes, minmax=minmax)
    indices, counts = select_blocks(**arguments(given, choice) | {"max_seqlen_q": 8})
    assert counts.shape == (2, 2 * len(query_lens))
    assert bool((counts == 0).all())
    assert bool((indices == -1).all())
    given, choice = batch(query_lens, [0] * len(prefixes), minmax=minmax, is_decode=True)
    given.seq_lens.zero_()
    pages, tokens = select_pages(**arguments(given, choice))
    assert tokens.shape == (len(query_lens), 2)
    assert bool((tokens == 0).all())
    assert bool((pages == -1).all())


def test_what_the_kernels_do_not_take_is_counted_and_served(take: Callable[[str], None]) -> None:
    take("auto")
    given, choice = batch(size=260)
    assert lists_of(*select_blocks(**arguments(given, choice))) == reference.select(given, choice)
    given, choice = batch(heads=65, kv_heads=1, is_decode=True)
    assert chosen_pages(given, choice) == reference.pages(given, choice)
    given, choice = batch(prefixes=(8192 * 4,), heads=1, kv_heads=1, size=1, is_decode=True)
    assert chosen_pages(given, choice) == reference.pages(given, choice)
    assert dispatch.refusals() == {
        ("select_blocks", "head-dim"): 1,
        ("select_pages", "group"): 1,
        ("select_pages", "blocks"): 1,
    }


@METHODS
def test_the_op_is_registered_as_torch_asks(*, minmax: bool) -> None:
    for given, choice in (batch(minmax=minmax), batch(minmax=minmax, is_decode=True)):
        sizes = {name: getattr(choice, name) for name in Choice.__slots__}
        torch.library.opcheck(_select, tuple(given), sizes)


def test_choices_compile_into_one_graph() -> None:
    blocks, pages = (arguments(*batch(is_decode=is_decode)) for is_decode in (False, True))

    def both(q: torch.Tensor, newest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return *select_blocks(**blocks | {"q": q}), *select_pages(**pages | {"q": newest})

    compiled = torch.compile(both, fullgraph=True, backend="eager")(blocks["q"], pages["q"])
    assert all(torch.equal(one, other) for one, other in zip(compiled, both(blocks["q"], pages["q"]), strict=True))


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"q": torch.zeros(13, 16)}, ValueError, r"q has shape \(13, 16\); wanted \[T, H, D\]"),
        ({"q": torch.zeros(13, 4, 16).int()}, TypeError, "q has dtype torch.int32; wanted torch.float32"),
        ({"q": torch.zeros(13, 3, 16)}, ValueError, "q has 3 heads and kmeta 2; wanted a multiple"),
        ({"q": torch.zeros(13, 16, 4).transpose(1, 2)}, ValueError, r"q has strides \(64, 1, 4\)"),
        ({"q": torch.zeros(14, 4, 16)}, ValueError, "cu_seqlens ends in 13 and q has 14 rows"),
        ({"q": torch.zeros(13, 4, 16, device="meta")}, ValueError, "cu_seqlens is on cpu and q on meta"),
        ({"kmeta": torch.zeros(23, 2, 2, 16)}, ValueError, r"kmeta has shape \(23, 2, 2, 16\); wanted \[P, Hkv, 16\]"),
        ({"kmeta": torch.zeros(9, 2, 16)}, ValueError, r"block_table has values \d+..\d+; wanted 0..8"),
        ({"method": "minmax"}, ValueError, r"kmeta has shape .*; wanted \[P, 2, Hkv, 16\]"),
        ({"method": "max"}, ValueError, "method='max'; wanted one of mean, minmax"),
        ({"block_table": torch.zeros(4, 7).int()}, ValueError, r"block_table has shape \(4, 7\); wanted \[3, pages\]"),
        ({"block_table": torch.zeros(3, 6).int()}, ValueError, "seq_lens has values 7..27; wanted 0..24"),
        ({"block_kv": 6}, ValueError, "block_kv=6 is no multiple of page_size=4"),
        ({"page_size": 0}, ValueError, "page_size=0; wanted 1 or more"),
        ({"budget": 0}, ValueError, "budget=0; wanted 1 or more"),
        ({"sink": -1}, ValueError, "sink=-1; wanted 0 or more"),
        ({"local": 0}, ValueError, "local=0; wanted 1 or more"),
        ({"top_p": 0.0}, ValueError, "top_p=0.0; wanted a share above 0"),
        ({"top_p": 1.5}, ValueError, "top_p=1.5; wanted a share"),
        ({"max_seqlen_q": 7}, ValueError, r"values 0..8; wanted 0..7"),
    ],
)
def test_what_does_not_fit_is_told_with_both_values(changes: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        select_blocks(**arguments(*batch()) | changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"q": torch.zeros(4, 4, 16)}, r"q has shape \(4, 4, 16\); wanted \[3, H, D\]"),
        ({"seq_lens": torch.tensor([1, 2, 99], dtype=torch.int32)}, "seq_lens has values 1..99; wanted 0..24"),
        ({"max_seqlen_k": 7}, "seq_lens has values 1..23; wanted 0..7"),
        ({"page_size": 0}, "page_size=0; wanted 1 or more"),
    ],
)
def test_pages_that_do_not_fit_are_told_with_both_values(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        select_pages(**arguments(*batch(is_decode=True)) | changes)
