from collections.abc import Iterator

import numpy as np
import pytest
import torch

from headrace.kernels import tuned
from headrace.kernels.expert_routing.fused.combine import combine
from tests.kernels.expert_routing.fused import cases
from tests.kernels.expert_routing.fused.cases import BRAIN, HALF, SINGLE, Case
from tests.support.kernels import routing
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import guard
from tests.support.kernels.strides import PAST_INT32
from tests.support.kernels.tolerance import close

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    """Let exp of a large number be inf without a word: the interpreter's numpy would warn."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_a_layer_of_kernels_answers_as_the_reference_does(case: Case) -> None:
    case.agrees()


@pytest.mark.full
@pytest.mark.parametrize("case", cases.every(), ids=str)
def test_a_layer_of_kernels_answers_as_the_reference_does_over_the_long_matrix(case: Case) -> None:
    case.agrees()


def test_bfloat16_answers_as_the_reference_does() -> None:
    with exact_bf16():
        Case(dtype=BRAIN, bits=4, tokens=3).agrees()


def test_a_layer_reads_nothing_that_was_not_written_and_stays_inside() -> None:
    layer = Case(dropped=0.5, hidden=33, inner=9).layer()
    with routing.outputs_guarded() as made:
        got = layer.run()
    assert [tuple(one.tensor.shape) for one in made] == [(14, 9), (14, 33), (7, 33)]
    close(got, layer.reference(), HALF, 42, c=2.0)


def test_tokens_without_any_expert_are_zero() -> None:
    layer = Case().layer()
    layer.ids[2], layer.ids[5, 0] = -1, -1
    layer.w[2] = float("nan")
    got = layer.run()
    assert not got[2].any()
    close(got, layer.reference(), HALF, 96, c=2.0)


@pytest.mark.parametrize("top_k", [1, 2, 6])
@pytest.mark.parametrize("hidden", [1, 513])
def test_the_sum_is_that_of_its_list_in_order(top_k: int, hidden: int) -> None:
    each = routing.randn((5 * top_k, hidden), SINGLE)
    w = routing.randn((5, top_k), SINGLE, seed=2)
    ids = routing.route(5, top_k, 8, dropped=0.3)
    each[ids.flatten() < 0] = float("nan")
    held = [guard(one) for one in (each, w, ids)]
    with routing.outputs_guarded() as made:
        got = combine(*(one.tensor for one in held))
    for one in held:
        one.check()
    assert len(made) == 1
    total = torch.zeros(5, hidden)
    for j in range(top_k):
        total += torch.where(ids[:, j : j + 1] < 0, 0, each.view(5, top_k, -1)[:, j] * w[:, j : j + 1])
    assert torch.equal(got, total)


def test_rows_beyond_two_to_the_thirty_one_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = PAST_INT32 // 2 - 64
    each = torch.empty(4, 8, dtype=HALF)
    each[:] = routing.randn((4, 8), HALF)
    # a wrapped address lies before the rows, where there are zeros
    far_rows = torch.as_strided(_reserved(PAST_INT32 + 4 * hidden), (4, hidden), (hidden, 1), PAST_INT32)
    far_rows[:, :8], far_rows[:, 8:16] = each, 0
    monkeypatch.setattr(tuned, "choose", lambda *_, **__: {"block_h": 16, "num_warps": 1, "num_stages": 1})
    got = _first_columns(far_rows, torch.ones(1, 4), torch.arange(4, dtype=torch.int32).view(1, 4))
    close(got, each.double().sum(0), HALF, 4)


def test_equal_calls_give_equal_bits() -> None:
    layer = Case(bits=4, top_k=4).layer()
    assert torch.equal(layer.run(), layer.run())


def test_twice_the_weights_is_twice_the_answer() -> None:
    layer = Case(tokens=3).layer()
    once = layer.run()
    layer.w.mul_(2)
    assert torch.equal(layer.run(), once * 2)


def _reserved(count: int) -> torch.Tensor:
    import mmap  # noqa: PLC0415  (one test)

    size = -(-count * 2 // mmap.PAGESIZE) * mmap.PAGESIZE
    return torch.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | 0x4000), dtype=HALF)


def _first_columns(each: torch.Tensor, w: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Launch the sum's first program alone: all of them would touch every page."""
    from headrace.kernels.expert_routing.fused._kernel import combine_kernel  # noqa: PLC0415  (needs the interpreter)

    out = torch.empty(16, dtype=each.dtype)
    combine_kernel[1, 1](each, w, ids, out, each.shape[1], TOP_K=4, BLOCK_H=16, num_warps=1)
    return out[:8]
