from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.fused import fused_experts
from headrace.kernels.quant_layout import ExpertQuant
from tests.kernels.expert_routing.fused import cases
from tests.kernels.expert_routing.fused.cases import BRAIN, HALF, SINGLE, Case
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@pytest.mark.parametrize("case", [*cases.every(), *cases.some(), Case(dtype=BRAIN, bits=4)], ids=str)
def test_it_answers_as_the_reference_does_without_a_kernel(case: Case) -> None:
    case.agrees()


@pytest.mark.parametrize("mode", ["torch", "triton"])
def test_no_tokens_give_an_empty_result_and_no_experts_a_token_give_zeros(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, mode)
    layer = Case(tokens=1).layer()
    none = replace(layer, x=layer.x[:0], w=layer.w[:0], ids=layer.ids[:0])
    assert none.run().shape == (0, 64)
    without = replace(layer, w=layer.w[:, :0], ids=layer.ids[:, :0])
    assert torch.equal(without.run(), torch.zeros(1, 64, dtype=HALF))


@pytest.mark.parametrize("bits", [4, 16])
def test_the_op_keeps_what_pytorch_asks_of_operators(bits: int) -> None:
    layer = Case(bits=bits, tokens=3).layer()
    scales = (None,) * 4 if layer.quant is None else (layer.quant.w13_scale, None, layer.quant.w2_scale, None)
    op = torch.ops.headrace.fused_experts.default
    torch.library.opcheck(op, (layer.x, layer.w13, layer.w2, layer.w, layer.ids, *scales))


def test_it_compiles_into_one_graph() -> None:
    layer = Case(bits=4).layer()

    def run(x: torch.Tensor) -> torch.Tensor:
        return fused_experts(x * 2, layer.w13, layer.w2, layer.w, layer.ids, quant=layer.quant) + 1

    assert torch.equal(torch.compile(run, fullgraph=True, backend="eager")(layer.x), run(layer.x))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), bits=st.sampled_from([4, 8, 16]))
def test_the_order_of_the_tokens_is_the_order_of_the_results(seed: int, bits: int) -> None:
    layer = Case(tokens=12, dtype=SINGLE, bits=bits).layer()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    moved = replace(layer, x=layer.x[order], w=layer.w[order], ids=layer.ids[order])
    close(moved.run(), layer.run()[order].double(), SINGLE, 96)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_experts_is_no_matter(seed: int) -> None:
    layer = Case(tokens=12, dtype=SINGLE, dropped=0).layer()
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    ids = order.argsort()[layer.ids.long()].to(torch.int32)
    close(replace(layer, w13=layer.w13[order], w2=layer.w2[order], ids=ids).run(), layer.run().double(), SINGLE, 96)


def _run(**changed: Any) -> torch.Tensor:
    return replace(Case(tokens=3).layer(), **changed).run()


def _quantised(**changed: Any) -> torch.Tensor:
    layer = Case(tokens=3, bits=4).layer()
    assert layer.quant is not None
    return replace(layer, quant=replace(layer.quant, **changed)).run()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: _run(w2=torch.ones(5, 60, 32, dtype=HALF)), ValueError, r"w2 has shape \(5, 60, 32\); wanted \[5, 64"),
        (lambda: _run(w2=torch.ones(4, 64, 32, dtype=HALF)), ValueError, r"w2 has shape \(4, 64, 32\)"),
        (lambda: _run(w2=torch.ones(5, 64, 30, dtype=HALF)), ValueError, "w2 has 30 values a row"),
        (lambda: _run(w13=torch.ones(5, 63, 64, dtype=HALF)), ValueError, "w13 has 63 rows"),
        (lambda: _run(x=torch.ones(3, 60, dtype=HALF)), ValueError, "w13 has 64 values a row"),
        (lambda: _run(ids=torch.zeros(3, 2, dtype=torch.int64)), TypeError, r"ids has dtype torch\.int64"),
        (
            lambda: _run(ids=torch.zeros(4, 2, dtype=torch.int32)),
            ValueError,
            r"ids has shape \(4, 2\); wanted \[3, k\]",
        ),
        (
            lambda: _run(ids=torch.full((3, 2), 5, dtype=torch.int32)),
            ValueError,
            r"ids has values 5\.\.5; wanted -1\.\.4",
        ),
        (lambda: _run(w=torch.ones(3, 3)), ValueError, r"w has shape \(3, 3\); wanted \[3, 2\]"),
        (lambda: _run(w=torch.ones(3, 2, dtype=HALF)), TypeError, r"w has dtype torch\.float16"),
        (lambda: _run(w=torch.ones(2, 3).T), ValueError, "w has strides"),
        (lambda: _run(quant=ExpertQuant(torch.ones(1), torch.ones(1))), ValueError, "a scale or zp came with it"),
        (lambda: _quantised(w2_scale=torch.ones(5, 64, 3)), ValueError, "w2 scale has 3 groups and K is 32"),
        (lambda: _quantised(w13_zp=torch.ones(5, 64, 2)), TypeError, r"w13 zp has dtype torch\.float32"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(
    call: Callable[[], torch.Tensor], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()
