import pytest
import torch

from benchmarks.gpu import rivals
from headrace.kernels import dispatch
from headrace.kernels.inspect import cases
from headrace.kernels.inspect.cases import Where
from headrace.kernels.inspect.roofline import Experts, Heads
from tests.support.kernels.tolerance import close

WHERE = Where(dtype=torch.float32)
HEADS = Heads(query=4, kv=2, dim=64)


def test_every_op_has_torch_beside_it_and_attention_has_more() -> None:
    assert [one.name for one in rivals.rivals("moe_gemm")] == ["torch"]
    assert {one.name for one in rivals.rivals("sparse_prefill")} >= {"torch", "flex_attention"}
    assert any(one.dense for one in rivals.rivals("sparse_decode"))


def test_torchs_path_is_taken_without_a_word_in_the_environment_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(dispatch.MODE_VARIABLE, raising=False)
    case = cases.gate(5, Experts("8", 64, 32, 8, 2), WHERE)
    weights, ids = rivals.torch_path(case)()  # type: ignore[misc]  # the gate returns a pair
    assert weights.shape == ids.shape == (5, 2)
    assert dispatch.mode() == "auto"


def test_dense_torch_attention_is_ours_with_every_block_kept() -> None:
    case = cases.prefill(128, 64, 1.0, HEADS, WHERE)
    with rivals.kernels("torch"):
        ours, _ = case.run()  # type: ignore[misc]  # outputs and log-sum-exp
    theirs = rivals.torch_attention(case)()
    assert isinstance(theirs, torch.Tensor)
    close(theirs[0].transpose(0, 1), ours.double(), torch.float32, 192)


@pytest.mark.filterwarnings("ignore:flex_attention called without:UserWarning")
def test_flex_attention_is_ours_with_every_block_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    # Uncompiled it looks at the mask alone, not at the lists; with every block listed they say the same.
    case = cases.prefill(128, 128, 1.0, HEADS, WHERE)
    with rivals.kernels("torch"):
        ours, _ = case.run()  # type: ignore[misc]  # outputs and log-sum-exp
    theirs = rivals.flex_attention(case)()
    assert isinstance(theirs, torch.Tensor)
    close(theirs[0].transpose(0, 1), ours.double(), torch.float32, 256)


def test_a_cache_is_laid_out_in_the_order_of_its_table() -> None:
    cache = torch.arange(3 * 2 * 1 * 1.0).reshape(3, 2, 1, 1)
    rows = rivals.laid_out(cache, torch.tensor([[2, 0, 1]], dtype=torch.int32), 5)
    assert rows.flatten().tolist() == [4, 5, 0, 1, 2]
