from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.gemm import moe_gemm, reference
from headrace.kernels.inspect.bytes_moved import counting
from headrace.kernels.quant_layout import pack_int4
from tests.kernels.expert_routing.gemm import cases
from tests.kernels.expert_routing.gemm.cases import BRAIN, HALF, SINGLE, Case
from tests.support.kernels import routing
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import guard
from tests.support.kernels.strides import far
from tests.support.kernels.tolerance import close

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    """Let exp of a large number be inf without a word: the interpreter's numpy would warn."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_it_answers_as_the_reference_does(case: Case) -> None:
    case.agrees()


@pytest.mark.full
@pytest.mark.parametrize("case", cases.every(), ids=str)
def test_it_answers_as_the_reference_does_over_the_long_matrix(case: Case) -> None:
    case.agrees()


@pytest.mark.parametrize("case", cases.brain(), ids=str)
def test_bfloat16_answers_as_the_reference_does(case: Case) -> None:
    with exact_bf16():
        case.agrees()


@pytest.mark.parametrize("block_m", [16, 64])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_weight_that_copies_gives_every_column_back_in_its_place(bits: int, block_m: int) -> None:
    k = 128
    a = routing.randn((3, k), HALF)
    ones = torch.eye(k, dtype=torch.int16).expand(2, k, k)
    stored = {4: pack_int4(ones + 8), 8: ones.to(torch.int8), 16: ones.to(HALF)}[bits].contiguous()
    scale = None if bits == 16 else torch.ones(2, k, k // 32, dtype=HALF)
    align = routing.align(torch.tensor([[1], [0], [1]]), 2, block_m)
    got = moe_gemm(a, stored, scale, None, align, top_k=1, mul_weight=None)
    assert torch.equal(got, a)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("is_per_row", [False, True])
def test_scales_and_zero_points_belong_to_their_own_row_and_group(bits: int, *, is_per_row: bool) -> None:
    group = 192 if is_per_row else 64
    case = Case(tokens=2, experts=2, n=5, k=192, dtype=SINGLE, bits=bits, group=group, symmetric=False, dropped=0)
    experts, align, a = case.weights(), case.align(), torch.ones(2, 192)
    assert experts.scale is not None
    assert experts.zp is not None
    scale = torch.arange(1.0, experts.scale.numel() + 1).view(experts.scale.shape)
    zp = torch.arange(experts.zp.numel()).view(experts.zp.shape).remainder(16).to(torch.uint8)
    how = {"top_k": 2, "mul_weight": None}
    got = moe_gemm(a, experts.w, scale, zp, align, **how)
    close(got, reference.moe_gemm(a, experts.w, scale, zp, align, **how), SINGLE, case.k)


@pytest.mark.parametrize("bits", [4, 16])
def test_it_stays_inside_its_buffers_and_leaves_its_inputs_alone(bits: int) -> None:
    case = Case(tokens=9, n=35, k=72, bits=bits, has_mul=True)
    experts = case.weights()
    given_ = [case.a(), experts.w, experts.scale, *case.align(), case.mul_weight()]
    held = [None if one is None else guard(one) for one in given_]
    a, w, scale, sorted_ids, expert_ids, num_post, mul = (None if one is None else one.tensor for one in held)
    assert a is not None
    assert w is not None
    assert sorted_ids is not None
    assert expert_ids is not None
    assert num_post is not None
    with routing.outputs_guarded() as made:
        got = moe_gemm(a, w, scale, None, (sorted_ids, expert_ids, num_post), top_k=2, mul_weight=mul)
    assert len(made) == 1
    wanted = reference.moe_gemm(case.a(), experts.w, experts.scale, None, case.align(), top_k=2, mul_weight=mul)
    close(got, wanted, HALF, case.k)
    for one, before in zip(held, given_, strict=True):
        if one is not None and before is not None:
            one.check()
            assert torch.equal(one.tensor, before)


def test_a_block_that_counts_as_padding_is_never_read_and_its_rows_are_zero() -> None:
    case = Case(dropped=0)
    sorted_ids, expert_ids, num_post = case.align()
    cut = (sorted_ids, expert_ids, num_post - case.block_m)
    experts = case.weights()
    got = moe_gemm(case.a(), experts.w, None, None, cut, top_k=2, mul_weight=None)
    last = sorted_ids[: int(num_post)][-case.block_m :]
    assert not got[last[last < got.shape[0]].long()].any()
    assert got.any()


@pytest.mark.parametrize("which", ["w", "int4", "w rows", "a", "scale"])
def test_addresses_beyond_two_to_the_thirty_one_are_reached(which: str) -> None:
    case = Case(tokens=4, experts=3, n=5, k=64, bits=16 if which in {"w", "w rows", "a"} else 4, group=32, dropped=0)
    experts, align, a = case.weights(), case.align(), case.a()
    w, scale = experts.w, experts.scale
    wanted = reference.moe_gemm(a, w, scale, None, align, top_k=2, mul_weight=None)
    if which == "a":
        a = far(a)
    elif which == "scale":
        assert scale is not None
        scale = far(scale)
    else:  # words of int4 are four bytes, so their stride is a quarter
        w = far(w, axis=1 if which == "w rows" else 0, stride=1 << 32 if which == "int4" else None)
    got = moe_gemm(a, w, scale, None, align, top_k=2, mul_weight=None)
    close(got, wanted, HALF, case.k)


def test_a_row_that_is_no_number_spoils_no_other() -> None:
    case = Case(tokens=5, experts=2, dropped=0)
    a, experts = case.a(), case.weights()
    clean = moe_gemm(a, experts.w, None, None, case.align(), top_k=2, mul_weight=None)
    a[3, 2], a[1, 0] = float("nan"), float("inf")
    got = moe_gemm(a, experts.w, None, None, case.align(), top_k=2, mul_weight=None)
    rest = [0, 1, 4, 5, 8, 9]
    assert bool(got[6:8].isnan().all())
    assert bool((~got[2:4].isfinite()).all())
    assert torch.equal(got[rest], clean[rest])


@pytest.mark.parametrize("tokens", [1, 40])
def test_all_rows_may_go_to_one_expert(tokens: int) -> None:
    case = Case(tokens=tokens, top_k=1, bits=4, group=32)
    experts, a = case.weights(), case.a()
    align = routing.align(torch.full((tokens, 1), 3), case.experts, 16)
    got = moe_gemm(a, experts.w, experts.scale, None, align, top_k=1, mul_weight=None)
    close(got, reference.moe_gemm(a, experts.w, experts.scale, None, align, top_k=1, mul_weight=None), HALF, case.k)


def test_rows_of_absent_experts_are_zero_even_if_all_are() -> None:
    case = Case(dropped=1.0)
    experts = case.weights()
    got = moe_gemm(case.a(), experts.w, None, None, case.align(), top_k=2, mul_weight=None)
    assert got.shape == (14, 36)
    assert not got.any()


def test_equal_calls_give_equal_bits() -> None:
    case = Case(bits=4, group=32, swiglu=True)
    experts, a, align = case.weights(), case.a(), case.align()
    first, second = (
        moe_gemm(a, experts.w, experts.scale, None, align, top_k=2, mul_weight=None, swiglu=True) for _ in range(2)
    )
    assert torch.equal(first, second)


@settings(max_examples=5, deadline=None)
@given(factor=st.floats(-4, 4), seed=st.integers(0, 1000))
def test_it_is_linear_in_its_rows(factor: float, seed: int) -> None:
    case = Case(tokens=3, dtype=SINGLE, bits=4, group=32, n=16)
    experts, align = case.weights(), case.align()
    one, other = (routing.randn((3, case.k), SINGLE, seed=seed + more) for more in (0, 1))
    product = [
        moe_gemm(rows, experts.w, experts.scale, None, align, top_k=2, mul_weight=None)
        for rows in (one, other, one * factor + other)
    ]
    close(product[2], (product[0] * factor + product[1]).double(), SINGLE, case.k, c=16)


def test_the_order_of_the_tokens_is_the_order_of_the_results() -> None:
    case = Case(tokens=20, bits=8, group=32, dropped=0.2)
    experts, a = case.weights(), case.a()
    ids = routing.route(20, 2, case.experts, dropped=0.2)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    got = [
        moe_gemm(x, experts.w, experts.scale, None, routing.align(i, 5, 16), top_k=2, mul_weight=None).view(20, 2, -1)
        for x, i in ((a, ids), (a[order], ids[order]))
    ]
    close(got[1], got[0][order].double(), HALF, case.k)


@pytest.mark.parametrize(("bits", "rows"), [(16, 4), (8, 3), (4, 3)])
def test_a_decode_tile_asks_for_each_byte_of_the_weight_once(bits: int, rows: int) -> None:
    case = Case(tokens=rows, top_k=1, experts=1, n=256, k=512, bits=bits, group=128, dropped=0)
    experts, a, align = case.weights(), case.a(), case.align()
    with counting() as tally:
        out = moe_gemm(a, experts.w, experts.scale, None, align, top_k=1, mul_weight=None)
    needed = [one.numel() * one.element_size() for one in (experts.w, experts.scale, a, out) if one is not None]
    assert tally.issued / sum(needed) <= 1.15


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case(block_m=8), "block-m"),
        (Case(bits=4, group=48, k=96), "group-size"),
        (Case(bits=4, k=44), "int4-alignment"),
    ],
    ids=str,
)
def test_what_the_kernel_cannot_take_goes_to_torch_and_is_counted(
    case: Case, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "auto")
    case.agrees()
    assert dispatch.refusals() == {("moe_gemm", reason): 1}


def test_bfloat16_magic_numbers_are_exact() -> None:
    """Every code of int4 against every zero point, in the type with the fewest bits."""
    k = 128
    codes = torch.arange(16).repeat(k // 16).expand(1, 16, k)
    zp = torch.arange(16, dtype=torch.uint8).view(1, 16, 1).repeat(1, 1, k // 32)
    a = torch.zeros(8, k, dtype=BRAIN)
    a[torch.arange(8), torch.arange(8) * 2 + 1] = 1
    align = routing.align(torch.zeros(8, 1, dtype=torch.int64), 1, 16)
    scale = torch.ones(1, 16, k // 32, dtype=BRAIN)
    with exact_bf16():
        got = moe_gemm(a, pack_int4(codes), scale, zp, align, top_k=1, mul_weight=None)
    wanted = (torch.arange(8) * 2 + 1).view(8, 1) - torch.arange(16).view(1, 16)
    assert torch.equal(got.float(), wanted.float())
