import pytest

from headrace.kernels import tuned
from headrace.kernels.expert_routing.align.variants import variants

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    rows = {(row["block_n"], row["num_warps"]) for row in tuned.table(arch)["moe_align"]}
    assert {(one.constants["BLOCK_N"], one.num_warps) for one in found if "BLOCK_N" in one.constants} == rows
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert not set(one.types) & set(one.constants)
        assert one.aligned <= set(one.types)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_small_batches_have_rows_of_one_program_before_the_one_of_three_launches(arch: str) -> None:
    rows = tuned.table(arch)["moe_align"]
    assert all(row["max_n"] <= row["block_n"] for row in rows[:-1])
    assert rows[0]["max_n"] >= 64
    assert "max_n" not in rows[-1]
    assert rows[-1]["block_n"] <= rows[-2]["max_n"]


def test_each_kernel_is_compiled() -> None:
    assert len({one.kernel.__name__ for one in variants("sm_90")}) == 4
