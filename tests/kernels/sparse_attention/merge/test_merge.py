import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention.merge import merge_parts, reference, unsupported_reason
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


def _parts(rows: int, parts: int, head_dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    lse = 9 * torch.randn(rows, parts, generator=chance)
    lse[torch.rand(rows, parts, generator=chance) < 0.3] = -math.inf
    o = torch.randn(rows, parts, head_dim, generator=chance)
    return o.masked_fill(lse[..., None] == -math.inf, math.nan), lse


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 7), st.integers(0, 9), st.sampled_from([1, 33]), st.integers(0, 99))
def test_it_answers_as_the_reference_does(rows: int, parts: int, head_dim: int, seed: int) -> None:
    o, lse = _parts(rows, parts, head_dim, seed)
    for got, want in zip(merge_parts(o, lse), reference.merge_parts(o.double(), lse.double()), strict=True):
        close(got, want, torch.float32, max(1, parts))


def test_merging_in_two_steps_is_merging_at_once() -> None:
    o, lse = _parts(9, 6, 32)
    halves = [merge_parts(o[:, half], lse[:, half]) for half in (slice(0, 2), slice(2, 6))]
    twice = merge_parts(*(torch.stack([half[place] for half in halves], 1) for place in (0, 1)))
    for got, want in zip(twice, merge_parts(o, lse), strict=True):
        close(got, want.double(), torch.float32, 6, c=16)  # the log of a sum near 20 is itself rounded


def test_the_type_asked_for_is_the_type_that_comes() -> None:
    o, lse = _parts(3, 2, 8)
    assert merge_parts(o, lse, dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    assert merge_parts(o.double(), lse)[0].dtype == torch.float64


def test_a_nan_makes_its_row_nan() -> None:
    o, lse = torch.ones(2, 3, 4), torch.zeros(2, 3)
    lse[1, 0] = math.nan
    out, merged = merge_parts(o, lse)
    assert out.isnan().any(1).tolist() == merged.isnan().tolist() == [False, True]


def test_too_many_parts_go_to_torch() -> None:
    assert unsupported_reason(torch.empty(1, 64, 128)) is None
    assert unsupported_reason(torch.empty(1, 65, 128)) == "parts"
    assert unsupported_reason(torch.empty(1, 2, 512)) == "head-dim"
    assert unsupported_reason(torch.empty(1, 2, 64, dtype=torch.float64)) == "dtype"


def test_bad_input_is_refused_with_its_value() -> None:
    o, lse = _parts(3, 2, 8)
    with pytest.raises(ValueError, match=r"lse has shape \(2, 2\); wanted \[3, 2\]"):
        merge_parts(o, lse[1:])
    with pytest.raises(TypeError, match=r"lse has dtype torch.float64; wanted torch.float32"):
        merge_parts(o, lse.double())
    with pytest.raises(ValueError, match="o has strides"):
        merge_parts(o.transpose(0, 2).contiguous().transpose(0, 2), lse)


def test_it_compiles_whole_and_is_a_lawful_operator() -> None:
    o, lse = _parts(3, 2, 8)
    compiled = torch.compile(merge_parts, fullgraph=True, backend="eager")
    for got, want in zip(compiled(o, lse), merge_parts(o, lse), strict=True):
        assert torch.equal(got, want)
    torch.library.opcheck(torch.ops.headrace.merge_parts.default, (o, lse, torch.float16))
