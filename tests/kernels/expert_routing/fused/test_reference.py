import pytest
import torch
from torch.nn import functional

from headrace.kernels.expert_routing.fused.reference import fused_experts
from headrace.kernels.quant_layout import ExpertQuant, round_groups

pytestmark = pytest.mark.engine_env


def test_the_plain_statement_is_a_weighted_sum_of_gated_layers() -> None:
    x, w13 = torch.randn(1, 4, dtype=torch.float64), torch.randn(3, 6, 4, dtype=torch.float64)
    w2, w = torch.randn(3, 4, 3, dtype=torch.float64), torch.tensor([[0.25, 2.0, 9.0]])
    got = fused_experts(x, w13, w2, w, torch.tensor([[2, 0, -1]]))
    each = [w2[e] @ (functional.silu(w13[e, :3] @ x[0]) * (w13[e, 3:] @ x[0])) for e in (2, 0)]
    torch.testing.assert_close(got[0], 0.25 * each[0] + 2 * each[1])


def test_integers_stand_for_their_values_times_their_scales() -> None:
    x, w, ids = torch.randn(2, 32), torch.ones(2, 1), torch.tensor([[1], [0]])
    w13, w2 = torch.randn(2, 8, 32), torch.randn(2, 32, 4)
    (q13, s13, _), (q2, s2, _) = round_groups(w13, bits=8), round_groups(w2, bits=8)
    got = fused_experts(x, q13, q2, w, ids, quant=ExpertQuant(s13, s2))
    near = fused_experts(x, q13.double() * s13.double(), q2.double() * s2.double(), w, ids)
    torch.testing.assert_close(got, near)
