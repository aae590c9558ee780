from unittest.mock import patch

import pytest
import torch

from headrace.kernels.sparse_attention.prefill import _torch
from tests.kernels.sparse_attention.prefill.cases import Case, ragged
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env


def _problem(case: Case, *, window: int = 0, sink: int = 0) -> _torch.Problem:
    return _torch.Problem(*case.tensors, window, sink, 0.125, 0.0, case.options["block_q"], case.options["block_kv"])


@pytest.mark.parametrize("may_look", [True, False])
@pytest.mark.parametrize("scores", [1, 20_000, 1 << 30])
def test_portions_of_any_size_answer_the_same(scores: int, may_look: bool) -> None:
    case = ragged(window=25, sink=3)
    with patch.object(_torch, "PORTION_SCORES", scores):
        found = _torch.attend(_problem(case, window=25, sink=3), may_look=may_look)
    for got, want in zip(found, case.wanted(), strict=True):
        close(got, want, torch.float32, 64)


def test_a_portion_stays_within_its_bound() -> None:
    case = ragged()
    seen = []

    def note(_: _torch.Problem, blocks: torch.Tensor, listed: int, *__: torch.Tensor) -> None:
        seen.append((len(blocks), len(blocks) * listed * case.q.shape[1] * 16 * 32))

    with patch.object(_torch, "_attend_blocks", note), patch.object(_torch, "PORTION_SCORES", 20_000):
        _torch.attend(_problem(case), may_look=True)
    assert sum(blocks for blocks, _ in seen) == int((case.cnt.amax(0) > 0).sum())
    assert all(scores <= 20_000 or blocks == 1 for blocks, scores in seen)


def test_no_list_at_all_needs_no_work() -> None:
    case = ragged()
    out, lse = _torch.attend(_problem(case.but(cnt=torch.zeros_like(case.cnt))), may_look=True)
    assert not out.any()
    assert bool((lse == float("-inf")).all())
