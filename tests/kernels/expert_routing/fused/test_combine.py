import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.fused.combine import combine
from tests.support.kernels import routing

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_and_the_kernel_sum_to_equal_bits(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    each = routing.randn((21, 40), dtype)
    ids = routing.route(7, 3, 8, dropped=0.3)
    each[ids.flatten() < 0] = float("nan")
    w = routing.randn((7, 3), torch.float32, seed=4)
    w[ids < 0] = float("nan")
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
    got = combine(each, w, ids)
    wanted = torch.zeros(7, 40)
    for j in range(3):
        row = each.view(7, 3, 40)[:, j].float() * w[:, j : j + 1]
        wanted += row.masked_fill(ids[:, j : j + 1] < 0, 0)
    assert torch.equal(got, wanted.to(dtype))
    if dtype != torch.bfloat16:  # the interpreter needs a shim for it
        monkeypatch.setenv(dispatch.MODE_VARIABLE, "triton")
        assert torch.equal(combine(each, w, ids), got)
