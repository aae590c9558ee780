from collections.abc import Callable
from typing import Any

import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.gemm import moe_gemm
from tests.kernels.expert_routing.gemm import cases
from tests.kernels.expert_routing.gemm.cases import BRAIN, HALF, SINGLE, Case
from tests.support.kernels import routing

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@pytest.mark.parametrize("case", [*cases.some(), *cases.brain()], ids=str)
def test_it_answers_as_the_reference_does_without_a_kernel(case: Case) -> None:
    case.agrees()


@pytest.mark.parametrize("mode", ["torch", "triton"])
def test_no_tokens_no_rows_and_no_columns_give_empty_results(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, mode)
    none = routing.align(torch.zeros(0, 2, dtype=torch.int64), 3, 16, spare_blocks=1)
    w = routing.randn((3, 6, 8), HALF)
    assert _multiply(torch.zeros(0, 8, dtype=HALF), w, none).shape == (0, 6)
    no_blocks = routing.align(torch.zeros(0, 2, dtype=torch.int64), 3, 16)
    assert _multiply(torch.zeros(0, 8, dtype=HALF), w, no_blocks).shape == (0, 6)
    some = routing.align(torch.zeros(2, 2, dtype=torch.int64), 3, 16)
    assert _multiply(torch.zeros(2, 8, dtype=HALF), w[:, :0], some).shape == (4, 0)
    assert not _multiply(torch.zeros(2, 0, dtype=HALF), w[:, :, :0], some).any()


@pytest.mark.parametrize("bits", [4, 16])
def test_the_op_keeps_what_pytorch_asks_of_operators(bits: int) -> None:
    case = Case(bits=bits, group=32, swiglu=True, has_mul=True)
    experts = case.weights()
    sorted_ids, expert_ids, num_post = case.align()
    arguments = (case.a(), experts.w, experts.scale, experts.zp, sorted_ids, expert_ids, num_post, 2, case.mul_weight())
    torch.library.opcheck(torch.ops.headrace.moe_gemm.default, (*arguments, True))


def test_it_compiles_into_one_graph() -> None:
    case = Case(bits=4, group=32, swiglu=True)
    experts, a, align = case.weights(), case.a(), case.align()

    def run(rows: torch.Tensor) -> torch.Tensor:
        return moe_gemm(rows * 2, experts.w, experts.scale, None, align, top_k=2, mul_weight=None, swiglu=True) + 1

    assert torch.equal(torch.compile(run, fullgraph=True, backend="eager")(a), run(a))


def _multiply(a: torch.Tensor, w: torch.Tensor, align: routing.Align, **more: Any) -> torch.Tensor:
    how = {"scale": None, "zp": None, "top_k": 2, "mul_weight": None} | more
    scale, zp = how.pop("scale"), how.pop("zp")
    return moe_gemm(a, w, scale, zp, align, **how)


def _ones(*shape: int, dtype: torch.dtype = HALF) -> torch.Tensor:
    return torch.ones(shape, dtype=dtype)


_ALIGN = routing.align(torch.tensor([[0, 1]]), 2, 16)
_A, _W, _Q8 = _ones(1, 64), _ones(2, 6, 64), _ones(2, 6, 64, dtype=torch.int8)
_U8, _SCALE, _ZP = _Q8.to(torch.uint8), _ones(2, 6, 2), _ones(2, 6, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: _multiply(_ones(1, 2, 64), _W, _ALIGN), ValueError, r"a has shape \(1, 2, 64\)"),
        (lambda: _multiply(_A.double(), _W, _ALIGN), TypeError, r"a has dtype torch\.float64"),
        (lambda: _multiply(_A, _W.to(BRAIN), _ALIGN), TypeError, r"w has dtype torch\.bfloat16"),
        (lambda: _multiply(_A, _W[0], _ALIGN), ValueError, r"w has shape \(6, 64\)"),
        (lambda: _multiply(_A, _ones(2, 6, 60), _ALIGN), ValueError, "60 values a row .* wanted 64"),
        (lambda: _multiply(_A, _U8[..., :30], _ALIGN, scale=_SCALE), ValueError, "30 values .* 64 or 32"),
        (lambda: _multiply(_A, _W, _ALIGN, top_k=0), ValueError, "top_k=0"),
        (lambda: _multiply(_A, _W[:, :5], _ALIGN, swiglu=True), ValueError, "w has 5 rows"),
        (lambda: _multiply(_A, _W.transpose(1, 2).contiguous().transpose(1, 2), _ALIGN), ValueError, "strides"),
        (lambda: _multiply(_A, _W, _ALIGN, scale=_SCALE), ValueError, "a scale or zp came with it"),
        (lambda: _multiply(_A, _Q8, _ALIGN), ValueError, "scale is None"),
        (lambda: _multiply(_A, _Q8, _ALIGN, scale=_ones(2, 5, 2)), ValueError, r"w scale has shape \(2, 5, 2\)"),
        (lambda: _multiply(_A, _Q8, _ALIGN, scale=_SCALE.double()), TypeError, r"scale has dtype torch\.float64"),
        (lambda: _multiply(_A, _Q8, _ALIGN, scale=_ones(2, 6, 3)), ValueError, "3 groups and K is 64"),
        (lambda: _multiply(_A, _U8, _ALIGN, scale=_SCALE, zp=_ZP[..., :1]), ValueError, r"zp has shape \(2, 6, 1\)"),
        (
            lambda: _multiply(_A, _U8, _ALIGN, scale=_SCALE, zp=_ZP.to(torch.int8)),
            TypeError,
            r"zp has dtype torch\.int8",
        ),
        (lambda: _multiply(_A, _Q8, _ALIGN, scale=_SCALE, zp=_ZP), TypeError, "must be torch.uint8"),
        (lambda: _multiply(_A, _U8, _ALIGN, scale=_SCALE), TypeError, "must be torch.int8"),
        (lambda: _multiply(_A, _W.to("meta"), _ALIGN), ValueError, "w is on meta"),
        (
            lambda: _multiply(_A, _W, _ALIGN, mul_weight=_ones(3, dtype=SINGLE)),
            ValueError,
            r"mul_weight has shape \(3,\)",
        ),
        (lambda: _multiply(_A, _W, _ALIGN, mul_weight=_ones(2)), TypeError, r"mul_weight has dtype torch\.float16"),
        (lambda: _multiply(_A, _W, (_ALIGN[0].long(), *_ALIGN[1:])), TypeError, r"sorted_ids has dtype torch\.int64"),
        (lambda: _multiply(_A, _W, (_ALIGN[0][::2], *_ALIGN[1:])), ValueError, "sorted_ids has strides"),
        (lambda: _multiply(_A, _W, (_ALIGN[0][:17], *_ALIGN[1:])), ValueError, "17 places for 2 blocks"),
        (
            lambda: _multiply(_A, _W, (_ALIGN[0] + 3, *_ALIGN[1:])),
            ValueError,
            "sorted_ids has values 3..5; wanted 0..2",
        ),
        (lambda: _multiply(_A, _W, (_ALIGN[0], _ALIGN[1] + 1, _ALIGN[2])), ValueError, r"expert_ids has values 1\.\.2"),
        (lambda: _multiply(_A, _W, (_ALIGN[0], _ALIGN[1], _ALIGN[2] * 2)), ValueError, "num_post has values 64"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(
    call: Callable[[], torch.Tensor], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()
