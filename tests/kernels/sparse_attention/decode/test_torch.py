from unittest.mock import patch

import pytest
import torch

from headrace.kernels.sparse_attention.decode import _torch
from tests.kernels.sparse_attention.decode.cases import quantized, requests
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("may_look", [True, False])
@pytest.mark.parametrize("keys", [1, 1 << 30])
@pytest.mark.parametrize("is_int8", [False, True])
def test_portions_of_any_size_answer_the_same(keys: int, may_look: bool, is_int8: bool) -> None:
    case = requests((33, 90), (0, 7), (16, 48))
    case = quantized(case) if is_int8 else case
    scales = (case.options.get("k_scale"), case.options.get("v_scale"))
    with patch.object(_torch, "PORTION_KEYS", keys):
        found = _torch.attend(*case.tensors, *scales, 0.125, 0.0, may_look=may_look)
    for got, want in zip(found, case.wanted(), strict=True):
        close(got, want, torch.float32, 64)


def test_float64_stays_float64() -> None:
    case = requests((33,), dtype=torch.float64)
    out, lse = _torch.attend(*case.tensors, None, None, 0.125, 0.0, may_look=True)
    want, want_lse = case.wanted()
    close(out, want, torch.float64, 64)
    close(lse, want_lse, torch.float32, 64)
