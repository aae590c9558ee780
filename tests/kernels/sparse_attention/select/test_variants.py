import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.select import variants
from headrace.kernels.sparse_attention.select._launch import KEEP, POOL, SCORE


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_each_row_of_each_table_is_listed_with_the_kernels_own_arguments(arch: str) -> None:
    found = variants.variants(arch)
    for each in found:
        assert sorted([*each.types, *each.constants]) == sorted(each.kernel.arg_names)
        assert [name for name in each.kernel.arg_names if name in each.types] == list(each.types)
        assert each.aligned <= set(each.types)
    for op, size in ((POOL, "block_t"), (SCORE, "block_m"), (KEEP, "num_warps")):
        listed = {each.num_warps if op == KEEP else each.constants[size.upper()] for each in found if each.op == op}
        assert listed == {row[size] for row in tuned.table(arch)[op]}
