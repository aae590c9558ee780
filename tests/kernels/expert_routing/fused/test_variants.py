import pytest

from headrace.kernels import tuned
from headrace.kernels.expert_routing.fused.variants import variants

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    assert {one.constants["BLOCK_H"] for one in found} == {row["block_h"] for row in tuned.table(arch)["combine"]}
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert one.aligned <= set(one.types)
