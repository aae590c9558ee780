import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.merge import MOST_PARTS
from headrace.kernels.sparse_attention.merge.variants import variants

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    assert {one.num_warps for one in found} == {row["num_warps"] for row in tuned.table(arch)["merge_parts"]}
    assert max(one.constants["BLOCK_S"] for one in found) == MOST_PARTS
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert one.aligned <= set(one.types)
