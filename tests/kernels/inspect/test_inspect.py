"""Our own kernels against the budgets: the most telling tiles by default, all of them in the long run."""

import pytest

from headrace.kernels.inspect import budgets
from headrace.kernels.inspect.aot import ARCHES
from headrace.kernels.inspect.worker import Request, inspect_all

TELLING = "tests.support.kernels.telling_variants"


def test_the_most_telling_tiles_stay_within_the_budgets_on_hopper() -> None:
    found = inspect_all(Request(["sm_90"], modules=[TELLING]), jobs=2)
    assert {(one.op, one.role) for one in found} == {
        ("moe_gemm", "decode"), ("moe_gemm", "prefill"), ("sparse_prefill", "prefill"), ("sparse_decode", "decode"),
    }  # fmt: skip
    assert all("int4" in one.shape for one in found if one.op == "moe_gemm")
    assert budgets.breaches(found, [], budgets.load()) == []


@pytest.mark.full
@pytest.mark.parametrize("arch", ARCHES)
def test_every_kernel_of_every_table_stays_within_the_budgets(arch: str) -> None:
    found = inspect_all(Request([arch]), jobs=2)
    assert {one.op for one in found} >= {"moe_gate", "moe_align", "moe_gemm", "sparse_prefill", "sparse_decode"}
    assert budgets.breaches(found, [], budgets.load()) == []
