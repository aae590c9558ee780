import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.decode.variants import variants

pytestmark = pytest.mark.engine_env
ARCHES = ["sm_80", "sm_90", "sm_100", "gfx942"]


@pytest.mark.parametrize("arch", ARCHES)
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    rows = tuned.table(arch)["sparse_decode"]
    assert {(one.constants["BLOCK_N"], one.num_stages) for one in found} == {
        (row["block_n"], row["num_stages"]) for row in rows
    }
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert not set(one.types) & set(one.constants)
        assert one.aligned | one.weights <= set(one.types)
        assert one.role == "decode"


@pytest.mark.parametrize("arch", ARCHES)
def test_parts_are_small_beside_the_keys_they_stand_for(arch: str) -> None:
    for row in tuned.table(arch)["sparse_decode"]:
        group, head_dim = 8, 128
        parts = group * (head_dim + 1) * 4 * 2
        keys = row["least_tokens"] * 2 * head_dim * 2
        assert parts <= 0.1 * keys


def test_an_int8_cache_is_read_with_its_scales() -> None:
    for one in variants("sm_90"):
        assert (one.types["k_cache"] == "*i8") == one.constants["HAS_SCALE"]
