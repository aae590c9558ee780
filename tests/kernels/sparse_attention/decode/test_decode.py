from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention.decode import choose_splits, sparse_decode, unsupported_reason
from headrace.kernels.sparse_attention.prefill import sparse_prefill
from tests.kernels.sparse_attention.decode.cases import Case, quantized, requests
from tests.kernels.sparse_attention.prefill.cases import prompt
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env
VALID = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=3)
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for any path is tried on the fast one; test_kernel.py holds the kernel to the reference."""
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@FEW
@given(VALID, st.sampled_from([1, 4, 7]), st.booleans())
def test_it_answers_as_the_reference_does(valid: list[tuple[int, int]], group: int, is_int8: bool) -> None:
    case = requests(*valid, group=group, softcap=4.0 * (group == 7))
    case = quantized(case) if is_int8 else case
    case.agrees(case.run())


@FEW
@given(st.lists(st.integers(1, 120), min_size=1, max_size=3), st.sampled_from([16, 32]))
def test_all_pages_are_what_prefill_says_of_one_new_token(held: list[int], page: int) -> None:
    case = prompt(*((1, each) for each in held), heads=4, kv_heads=2, page=page)
    out, lse = sparse_prefill(*case.tensors, **case.options)
    pages = case.block_table[:, None].expand(-1, 2, -1).contiguous()
    n_valid = case.seq_lens[:, None].expand(-1, 2).contiguous()
    found = sparse_decode(case.q, case.k_cache, case.v_cache, pages, n_valid)
    close(found[0], out.double(), torch.float32, 64)
    close(found[1], lse.T.double(), torch.float32, 64)


def test_the_order_of_full_pages_does_not_matter() -> None:
    case = requests((96, 70))
    other = case.pages.clone()
    other[0, 0, :6] = other[0, 0, :6].flip(0)
    other[0, 1, :4] = other[0, 1, :4].flip(0)
    for got, want in zip(case.but(pages=other).run(), case.run(), strict=True):
        close(got, want.double(), torch.float32, 64)


def test_int8_is_near_the_cache_it_was_made_from() -> None:
    case = requests((90, 33))
    out, lse = quantized(case).run()
    want, want_lse = case.wanted()
    assert float((out - want).abs().max()) < 0.02 * float(want.abs().max())
    assert float((lse - want_lse).abs().max()) < 0.02


@pytest.mark.parametrize(
    "case",
    [
        requests(),
        requests((0, 0)),
        requests((5,)).but(pages=torch.empty(1, 1, 0).int(), n_valid=torch.zeros(1, 1).int()),
    ],
)
def test_empty_lists_are_zero_and_minus_infinity(case: Case) -> None:
    out, lse = case.run()
    assert torch.equal(out, torch.zeros_like(case.q))
    assert bool((lse == float("-inf")).all())
    assert lse.shape == case.q.shape[:2]


@pytest.mark.parametrize(
    ("lists", "tokens", "parts"),
    [(8, 4096, 16), (8, 131_072, 33), (1, 131_072, 64), (1024, 131_072, 1), (8, 255, 1), (8, 600, 2), (0, 0, 1)],
)
def test_a_list_is_cut_to_fill_the_device_but_never_small(lists: int, tokens: int, parts: int) -> None:
    assert choose_splits(lists, tokens, programs=264, least_tokens=256) == parts


def test_a_shape_the_kernel_does_not_take_goes_to_torch_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "auto")
    case = requests((20,), head_dim=24)
    case.agrees(case.run())
    assert dispatch.refusals() == {("sparse_decode", "head-dim"): 1}


def test_what_the_kernel_refuses_has_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = torch.empty(2, 16, 1, 64, dtype=torch.float16)
    words = torch.empty(2 * 16 * 64 + 1, dtype=torch.int8)
    assert unsupported_reason(torch.empty(1, 64, 64).half(), cache) is None
    assert unsupported_reason(torch.empty(1, 65, 64).half(), cache) == "group"
    assert unsupported_reason(torch.empty(1, 1, 72).half(), cache) == "head-dim"
    assert unsupported_reason(torch.empty(1, 1, 64).double(), cache) == "dtype"
    assert unsupported_reason(torch.empty(1, 1, 64).half(), words[:-1].view(2, 16, 1, 64)) is None
    assert unsupported_reason(torch.empty(1, 1, 64).half(), words[1:].view(2, 16, 1, 64)) == "strides"
    monkeypatch.delenv("TRITON_INTERPRET")
    assert unsupported_reason(torch.empty(1, 1, 64), cache) == "dtype"


BROKEN: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "heads": ({"q": torch.zeros(2, 7, 64)}, ValueError, "q has 7 heads and k_cache 2"),
    "head size": ({"q": torch.zeros(2, 8, 32)}, ValueError, r"wanted \[P, page, Hkv, 32\]"),
    "type": ({"q": torch.zeros(2, 8, 64).half()}, TypeError, "k_cache has dtype torch.float32; wanted torch.float16"),
    "lists": ({"pages": torch.zeros(2, 1, 5).int()}, ValueError, r"pages has shape \(2, 1, 5\); wanted \[2, 2, n\]"),
    "counts": ({"n_valid": torch.full((2, 2), 99).int()}, ValueError, "n_valid has values 99..99; wanted 0..64"),
    "long": ({"n_valid": torch.zeros(2, 2).long()}, TypeError, "n_valid has dtype torch.int64"),
    "parts": ({"num_splits": 65}, ValueError, r"num_splits=65; wanted 1..64"),
    "scale": ({"scale": 0.0}, ValueError, "scale=0.0"),
    "one scale": ({"k_scale": torch.ones(1)}, ValueError, "wanted both"),
    "not int8": ({"k_scale": torch.ones(1), "v_scale": torch.ones(1)}, TypeError, "wanted torch.int8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_is_refused_with_its_value(name: str) -> None:
    changes, error, words = BROKEN[name]
    with pytest.raises(error, match=words):
        requests((33, 40), (1, 2)).but(**changes).run()


def test_scales_of_another_shape_or_type_are_refused() -> None:
    case = quantized(requests((20,)))
    with pytest.raises(ValueError, match="v_scale has shape"):
        case.but(v_scale=case.options["v_scale"][1:]).run()
    with pytest.raises(TypeError, match=r"k_scale has dtype torch\.float16"):
        case.but(k_scale=case.options["k_scale"].half()).run()


def test_it_compiles_whole_and_answers_the_same() -> None:
    case = requests((33, 40), (0, 7))
    compiled = torch.compile(sparse_decode, fullgraph=True, backend="eager")
    for got, want in zip(compiled(*case.tensors), case.run(), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("is_int8", [False, True])
def test_it_is_a_lawful_operator(is_int8: bool) -> None:
    case = requests((33, 40), (0, 7))
    case = quantized(case) if is_int8 else case
    scales = (case.options.get("k_scale"), case.options.get("v_scale"))
    torch.library.opcheck(torch.ops.headrace.sparse_decode.default, (*case.tensors, *scales, 2, 0.125, 2.0))
