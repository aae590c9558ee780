import pytest

from headrace.kernels import tuned
from headrace.kernels.sparse_attention.prefill import HEAD_DIMS
from headrace.kernels.sparse_attention.prefill.variants import variants

pytestmark = pytest.mark.engine_env
ARCHES = ["sm_80", "sm_90", "sm_100", "gfx942"]


@pytest.mark.parametrize("arch", ARCHES)
def test_every_row_of_the_table_is_there_and_every_argument_has_a_type(arch: str) -> None:
    found = variants(arch)
    rows = tuned.table(arch)["sparse_prefill"]
    assert {(one.constants["BLOCK_M"], one.num_warps, one.num_stages) for one in found} == {
        (row["block_m"], row["num_warps"], row["num_stages"]) for row in rows
    }
    for one in found:
        assert set(one.types) | set(one.constants) == set(one.kernel.arg_names)
        assert not set(one.types) & set(one.constants)
        assert one.aligned | one.weights <= set(one.types)


@pytest.mark.parametrize("arch", ARCHES)
def test_tall_tiles_are_held_to_what_prefill_is_held_to(arch: str) -> None:
    assert {one.role for one in variants(arch) if one.constants["BLOCK_M"] >= 64} == {"prefill"}
    assert {one.role for one in variants(arch) if one.constants["BLOCK_M"] < 64} == {"decode"}


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("block_q", [16, 32, 64, 128])
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_a_tile_divides_the_block_of_queries_that_it_is_for(arch: str, block_q: int, head_dim: int) -> None:
    row = tuned.choose("sparse_prefill", arch, q=block_q, d=head_dim)
    assert block_q % row["block_m"] == 0
    assert (row["block_m"], row["block_n"], row["num_warps"]) != (128, 64, 4)
