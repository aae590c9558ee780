import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention.merge import merge_parts
from headrace.kernels.sparse_attention.prefill import sparse_prefill, unsupported_reason
from tests.kernels.sparse_attention.prefill.cases import Case, prompt, ragged, thinned
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env

SEQUENCES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 90)).map(lambda pair: (pair[0], sum(pair))), min_size=1, max_size=3
)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for any path is tried on the fast one; test_kernel.py holds the kernel to the reference."""
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


def _dense(case: Case, place: int, window: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return causal attention of one sequence over all its keys, as torch computes it in float64."""
    first, stop = case.cu_q[place : place + 2].tolist()
    held, page, group = int(case.seq_lens[place]), case.k_cache.shape[1], case.q.shape[1] // case.k_cache.shape[2]
    pages = case.block_table[place, : -(-held // page)].long()
    keys, values = (
        cache[pages].flatten(0, 1)[:held].double().repeat_interleave(group, 1) for cache in (case.k_cache, case.v_cache)
    )
    scores = torch.einsum("thd,shd->hts", case.q[first:stop].double(), keys) * case.q.shape[2] ** -0.5
    at_q, at_k = torch.arange(held - stop + first, held)[:, None], torch.arange(held)
    is_seen = (at_k <= at_q) & (at_q - at_k < (window or held + 1))
    scores = scores.masked_fill(~is_seen, float("-inf"))
    return torch.einsum("hts,shd->thd", scores.softmax(2), values), torch.logsumexp(scores, 2)


@FEW
@given(SEQUENCES, st.sampled_from([16, 48]), st.sampled_from([None, 1, 9, 1000]))
def test_keeping_every_block_is_dense_attention(
    sequences: list[tuple[int, int]], page: int, window: int | None
) -> None:
    case = prompt(*sequences, heads=4, kv_heads=2, page=page, window=window)
    out, lse = case.run()
    for place in range(len(sequences)):
        first, stop = case.cu_q[place : place + 2].tolist()
        want, want_lse = _dense(case, place, window)
        close(out[first:stop], want, torch.float32, 64)
        close(lse[:, first:stop], want_lse, torch.float32, 64)


@FEW
@given(SEQUENCES, st.integers(0, 99))
def test_the_order_of_blocks_does_not_matter(sequences: list[tuple[int, int]], seed: int) -> None:
    case = thinned(prompt(*sequences, heads=4, kv_heads=2), seed=seed)
    idx = case.idx.clone()
    for kv_head in range(2):
        for row in range(idx.shape[1]):
            many = int(case.cnt[kv_head, row])
            idx[kv_head, row, :many] = idx[kv_head, row, :many].flip(0)
    for got, want in zip(case.but(idx=idx).run(), case.run(), strict=True):
        close(got, want.double(), torch.float32, 64)


@FEW
@given(SEQUENCES, st.integers(0, 99))
def test_fewer_blocks_never_sum_to_more(sequences: list[tuple[int, int]], seed: int) -> None:
    case = prompt(*sequences, heads=4, kv_heads=2)
    sparse, dense = thinned(case, seed=seed).run()[1], case.run()[1]
    assert bool((sparse <= dense + 1e-5).all())


@FEW
@given(SEQUENCES)
def test_a_window_as_long_as_the_sequence_is_causal(sequences: list[tuple[int, int]]) -> None:
    case = ragged() if not sequences else thinned(prompt(*sequences))
    longest = max(1, int(case.seq_lens.max()))
    for got, want in zip(case.but(window=longest).run(), case.run(), strict=True):
        assert torch.equal(got, want)


@FEW
@given(SEQUENCES, st.integers(0, 99))
def test_merging_two_halves_of_a_list_is_the_whole(sequences: list[tuple[int, int]], seed: int) -> None:
    case = thinned(prompt(*sequences, heads=4, kv_heads=2), seed=seed)
    even = torch.arange(case.idx.shape[2]) % 2 == 0
    halves = [case.but(idx=torch.where(half, case.idx, -1)).run() for half in (even, ~even)]
    o = torch.stack([half[0].flatten(0, 1) for half in halves], 1)
    lse = torch.stack([half[1].T.flatten() for half in halves], 1)
    merged, merged_lse = merge_parts(o, lse)
    out, whole_lse = case.run()
    close(merged, out.flatten(0, 1).double(), torch.float32, 64)
    close(merged_lse, whole_lse.T.flatten().double(), torch.float32, 64)


def test_a_block_outside_the_window_changes_nothing() -> None:
    case = prompt((8, 150), window=30)
    near = case.but(idx=torch.where(case.idx < 3, -1, case.idx))
    for got, want in zip(case.run(), near.run(), strict=True):
        close(got, want.double(), torch.float32, 64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_type_answers_in_its_own(dtype: torch.dtype) -> None:
    case = ragged(dtype=dtype, softcap=3.0)
    out, lse = case.run()
    assert (out.dtype, lse.dtype) == (dtype, torch.float32)
    for got, want in zip((out, lse), case.wanted(), strict=True):
        close(got, want, torch.float32 if dtype == torch.float64 else dtype, 64)


@pytest.mark.parametrize(
    "case", [prompt(), prompt((0, 0)), prompt((0, 9)), prompt((3, 3)).but(q=torch.empty(3, 0, 64))]
)
def test_empty_batches_work(case: Case) -> None:
    out, lse = case.run()
    assert out.shape == case.q.shape
    assert lse.shape == (case.q.shape[1], case.q.shape[0])


def test_rows_that_no_sequence_has_are_zero() -> None:
    case = prompt((3, 9))
    longer = case.but(q=torch.cat([case.q, case.q]))
    out, lse = longer.run()
    assert torch.equal(out[:3], case.run()[0])
    assert not out[3:].any()
    assert bool((lse[:, 3:] == -math.inf).all())


def test_a_shape_the_kernel_does_not_take_goes_to_torch_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "auto")
    case = prompt((3, 20), head_dim=24)
    case.agrees(case.run())
    assert dispatch.refusals() == {("sparse_prefill", "head-dim"): 1}


@pytest.mark.parametrize(
    ("head_dim", "dtype", "block_q", "block_kv", "reason"),
    [
        (128, torch.float16, 64, 64, None),
        (96, torch.bfloat16, 16, 32, None),
        (256, torch.float16, 64, 64, "head-dim"),
        (64, torch.float64, 64, 64, "dtype"),
        (64, torch.float16, 48, 64, "block-size"),
        (64, torch.float16, 64, 8, "block-size"),
    ],
)
def test_what_the_kernel_refuses_has_a_word(
    head_dim: int, dtype: torch.dtype, block_q: int, block_kv: int, reason: str | None
) -> None:
    assert unsupported_reason(torch.empty(1, 1, head_dim, dtype=dtype), block_q, block_kv) == reason


def test_float32_is_refused_where_kernels_are_not_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    assert unsupported_reason(torch.empty(1, 1, 64), 64, 64) == "dtype"


BROKEN: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "heads": ({"q": torch.zeros(4, 3, 64)}, ValueError, "q has 3 heads and k_cache 2"),
    "head size": ({"q": torch.zeros(4, 4, 32)}, ValueError, r"k_cache has shape .*; wanted \[P, page, Hkv, 32\]"),
    "type": ({"k_cache": torch.zeros(5, 16, 2, 64).half()}, TypeError, "k_cache has dtype torch.float16"),
    "values": ({"v_cache": torch.zeros(4, 16, 2, 64)}, ValueError, "v_cache has shape"),
    "table": ({"block_table": torch.zeros(1, 4)}, TypeError, "block_table has dtype torch.float32; wanted torch.int32"),
    "lists": ({"idx": torch.zeros(2, 2, 2).int()}, ValueError, "idx has shape"),
    "counts": ({"cnt": torch.full((2, 1), 4).int()}, ValueError, "cnt has values 4..4; wanted 0..2"),
    "too long": ({"seq_lens": torch.tensor([90]).int()}, ValueError, "seq_lens has values 90..90; wanted 0..64"),
    "too short": ({"seq_lens": torch.tensor([3]).int()}, ValueError, r"\(the prefix\) has values -1..-1"),
    "rows": ({"cu_q": torch.tensor([0, 9]).int()}, ValueError, "cu_q has values 0..9; wanted 0..4"),
    "longest": ({"max_seqlen_q": 3}, ValueError, r"has values 4\.\.4; wanted 0\.\.3"),
    "window": ({"window": 0}, ValueError, "window=0; wanted at least 1"),
    "sink": ({"sink": -1}, ValueError, "sink=-1"),
    "scale": ({"scale": -0.5}, ValueError, "scale=-0.5"),
    "soft-cap": ({"softcap": float("nan")}, ValueError, "softcap=nan"),
    "block": ({"block_kv": 0}, ValueError, "block_kv=0"),
    "negative": ({"max_seqlen_q": -1}, ValueError, "max_seqlen_q=-1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_is_refused_with_its_value(name: str) -> None:
    changes, error, words = BROKEN[name]
    case = prompt((4, 40), heads=4, kv_heads=2)
    with pytest.raises(error, match=words):
        case.but(**changes).run()


def test_strides_other_than_one_on_the_last_axis_are_refused() -> None:
    case = prompt((4, 40))
    with pytest.raises(ValueError, match="q has strides"):
        case.but(q=case.q.transpose(1, 2).contiguous().transpose(1, 2)).run()


def test_it_compiles_whole_and_answers_the_same() -> None:
    case = ragged(window=20)
    compiled = torch.compile(sparse_prefill, fullgraph=True, backend="eager")
    for got, want in zip(compiled(*case.tensors, **case.options), case.run(), strict=True):
        assert torch.equal(got, want)


def test_it_is_a_lawful_operator() -> None:
    case = ragged()
    numbers = (9, 1, 0.125, 2.0, 16, 32)
    torch.library.opcheck(torch.ops.headrace.sparse_prefill.default, (*case.tensors, *numbers))
