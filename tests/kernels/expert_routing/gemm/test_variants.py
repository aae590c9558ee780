import pytest

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gemm.launch import LARGE_BLOCK_M, OP, constants
from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.expert_routing.gemm.variants import variants
from tests.kernels.expert_routing.gemm.cases import BRAIN, Case

pytestmark = pytest.mark.engine_env

ARCHES = ("sm_80", "sm_90", "sm_100", "gfx942")


@pytest.mark.parametrize("arch", ARCHES)
def test_every_argument_has_a_type_or_a_value_and_large_blocks_are_prefill(arch: str) -> None:
    found = variants(arch)
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names), one.shape
        assert list(one.types) == [name for name in one.kernel.arg_names if name in one.types]
        assert one.aligned <= set(one.types)
        assert one.role == ("prefill" if one.constants["BLOCK_M"] >= LARGE_BLOCK_M else "decode")
        assert one.weights == {"w"}
    assert len({(one.shape, one.role) for one in found}) == len(found)


@pytest.mark.parametrize("arch", ARCHES)
def test_every_row_of_the_table_for_sixteen_bits_and_less_is_there(arch: str) -> None:
    rows = {
        (row["block_n"], row["block_k"], row["num_warps"], row["num_stages"])
        for row in tuned.table(arch)[OP]
        if row.get("max_bits", 32) <= 16
    }
    found = {
        (one.constants["BLOCK_N"], one.constants["BLOCK_K"], one.num_warps, one.num_stages) for one in variants(arch)
    }
    assert found == rows


def test_a_variant_has_the_constants_of_a_real_launch() -> None:
    case = Case(tokens=1, top_k=8, experts=8, n=256, k=256, dtype=BRAIN, bits=4, group=128)
    experts = case.weights()
    product = Product(case.a(), experts.w, experts.scale, None, 8, None, swiglu=True)
    real = constants(product, 16, tuned.choose(OP, "sm_90", block_m=16, bits=4))
    assert real in [dict(one.constants) for one in variants("sm_90")]
