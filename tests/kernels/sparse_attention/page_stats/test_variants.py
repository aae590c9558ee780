import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.page_stats import variants
from headrace.kernels.sparse_attention.page_stats._launch import OP


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_each_row_of_the_table_is_listed_with_the_kernels_own_arguments(arch: str) -> None:
    found = variants.variants(arch)
    for is_int8 in (False, True):
        steps = {each.constants["BLOCK_T"] for each in found if each.constants["SCALED"] == is_int8}
        assert steps == {row["block_t"] * (2 if is_int8 else 1) for row in tuned.table(arch)[OP]}
    for each in found:
        assert sorted([*each.types, *each.constants]) == sorted(each.kernel.arg_names)
        assert [name for name in each.kernel.arg_names if name in each.types] == list(each.types)
        assert each.aligned <= set(each.types)
