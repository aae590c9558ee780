import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.expert_routing.gemm import _torch
from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.quant_layout import restore
from tests.kernels.expert_routing.gemm import cases
from tests.kernels.expert_routing.gemm.cases import Case
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("case", cases.some(), ids=str)
def test_by_block_and_by_expert_are_the_same_rows(case: Case) -> None:
    experts, align = case.weights(), case.align()
    product = Product(case.a(), experts.w, experts.scale, experts.zp, case.top_k, case.mul_weight(), case.swiglu)
    columns = case.n // 2 if case.swiglu else case.n
    by_expert, by_block = (torch.full((case.tokens * case.top_k, columns), 3.0, dtype=case.dtype) for _ in range(2))
    _torch.by_expert(product, align, by_expert)
    _torch.by_block(product, align, by_block)
    close(by_block, by_expert.double(), case.dtype, case.k)
    unnamed = torch.ones(by_block.shape[0], dtype=torch.bool)
    unnamed[[int(row) for row in align[0] if row < by_block.shape[0]]] = False
    assert bool((by_block[unnamed] == 3).all())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [2, 32, None])
def test_even_columns_first_is_the_same_weight(group: int | None, *, symmetric: bool) -> None:
    experts = Case(experts=1, n=5, k=64, bits=4, group=group, symmetric=symmetric).weights()
    assert experts.scale is not None
    zp = None if experts.zp is None else experts.zp[0]
    split = _torch.split_weight(experts.w[0], experts.scale[0], zp, dtype=torch.float16)
    whole = restore(experts.w[0], experts.scale[0], zp, k=64, dtype=torch.float16)
    assert torch.equal(split, _torch.split_columns(whole))


def test_groups_of_one_column_are_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
    Case(bits=4, group=1, k=8, n=5).agrees()


def test_by_block_looks_at_no_value() -> None:
    """Tensors without values go through: nothing is read back to the host, every size is known before."""
    case = Case(bits=4, group=32, swiglu=True)
    experts, align = case.weights(), tuple(one.to("meta") for one in case.align())
    assert experts.scale is not None
    product = Product(case.a().to("meta"), experts.w.to("meta"), experts.scale.to("meta"), None, 2, None, swiglu=True)
    _torch.by_block(product, align, torch.empty((14, 18), dtype=case.dtype, device="meta"))
