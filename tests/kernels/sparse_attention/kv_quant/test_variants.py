import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.kv_quant.variants import variants

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    assert {one.constants["BLOCK_T"] for one in found} == {row["block_t"] for row in tuned.table(arch)["write_int8_kv"]}
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert not set(one.types) & set(one.constants)
        assert one.aligned | one.weights <= set(one.types)
