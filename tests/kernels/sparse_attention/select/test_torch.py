from dataclasses import replace

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from headrace.kernels.sparse_attention.page_stats import _torch as page_stats
from headrace.kernels.sparse_attention.page_stats import new_page_stats
from headrace.kernels.sparse_attention.select import _torch
from headrace.kernels.sparse_attention.select.choice import Given
from tests.support.kernels.block_choice import batch, reference_scores, visible_scores
from tests.support.kernels.tolerance import close


@pytest.mark.parametrize("is_decode", [False, True])
@pytest.mark.parametrize("minmax", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scores_are_those_of_the_reference(dtype: torch.dtype, *, minmax: bool, is_decode: bool) -> None:
    given, choice = batch(minmax=minmax, is_decode=is_decode, block_kv=4 if is_decode else 8)
    draw = torch.Generator().manual_seed(5)
    q = torch.randn(given.q.shape, generator=draw).to(dtype)
    given = given._replace(q=q, kmeta=torch.randn(given.kmeta.shape, generator=draw).to(dtype).sort(1).values)
    found = visible_scores(_torch.score(given, choice), given, choice)
    close(found, reference_scores(given, choice), dtype, 16)


@settings(max_examples=15, deadline=None)
@drawn(keys=st.integers(1, 100), seed=st.integers(0, 999), is_decode=st.booleans(), size=st.sampled_from([1, 4, 16]))
def test_a_score_of_extremes_bounds_every_product_of_its_page(
    keys: int, seed: int, *, is_decode: bool, size: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    queries = 1 if is_decode else min(keys, 5)
    given, choice = batch(
        (queries,), (keys - queries,), minmax=True, heads=2, kv_heads=1, size=size, page_size=32, is_decode=is_decode,
        block_q=1 if is_decode else 8,
    )  # fmt: skip
    k_cache = torch.randn(given.kmeta.shape[0], 32, 1, size, generator=draw).half()
    kmeta = new_page_stats(k_cache, method="minmax")
    table = given.block_table[0].long()
    slots = (table[:, None] * 32 + torch.arange(32)).flatten()[:keys]
    page_stats.update(k_cache, slots, kmeta, None, is_minmax=True)
    q = torch.randn(queries, 2, size, generator=draw).half()
    found = _torch.score(given._replace(q=q, kmeta=kmeta), replace(choice, scale=1.0))[0, 0]
    k = k_cache[table].flatten(0, 1)[:keys, 0]
    products = torch.einsum("qhd,kd->hkq", q.double(), k.double()).mean(-1)
    for block, part in enumerate(products.split(32, dim=1)):
        assert float(found[block]) >= float(part.max()) - 1e-2 * (0 if is_decode else 1) - 1e-5


def test_many_sequences_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given, choice = batch()
    wanted = _torch.score(given, choice)
    monkeypatch.setattr(_torch, "_GATHERED", 1)
    assert torch.equal(_torch.score(given, choice), wanted)


def test_a_page_that_does_not_exist_scores_nothing_and_reads_nothing() -> None:
    given, choice = batch((4,), (12,), kv_heads=1)
    given.block_table[0, 1] = -1
    given.block_table[0, 2] = given.kmeta.shape[0]
    assert _torch.score(given, choice)[0, 0, 1:3].tolist() == [0.0, 0.0]
    none = Given(given.q, given.kmeta[:0], given.block_table, given.cu_seqlens, given.seq_lens)
    assert bool((_torch.score(none, choice) == 0).all())


def test_queries_are_pooled_by_sequence() -> None:
    given, choice = batch((5, 0, 2), (0, 0, 0))
    pooled = _torch.pool(given.q, given.cu_seqlens, choice)
    wanted = [given.q[:4].mean(0), given.q[4], 0 * given.q[0], 0 * given.q[0], given.q[5:7].mean(0), 0 * given.q[0]]
    assert torch.equal(pooled[:, 0], torch.stack(wanted))
