import pytest

from headrace.kernels import tuned
from headrace.kernels.expert_routing.gate.variants import variants

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    assert {one.constants["BLOCK_T"] for one in found} == {row["block_t"] for row in tuned.table(arch)["moe_gate"]}
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert one.aligned <= set(one.types)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_a_warp_holds_whole_rows(arch: str) -> None:
    assert {row["num_warps"] for row in tuned.table(arch)["moe_gate"]} == {1}


def test_a_row_stride_counts_as_aligned_only_where_it_is() -> None:
    odd = next(one for one in variants("sm_90") if one.constants["GROUP_SIZE"] == 60)
    even = next(one for one in variants("sm_90") if one.constants["GROUP_SIZE"] == 128)
    assert "stride_t" not in odd.aligned
    assert "stride_t" in even.aligned
