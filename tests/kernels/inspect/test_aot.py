from types import SimpleNamespace

import pytest

from headrace.kernels.inspect import aot, budgets
from headrace.kernels.inspect.facts import Facts
from headrace.kernels.inspect.worker import Request, inspect_all
from tests.support.kernels import trial_kernels

OF_TRIAL = [trial_kernels.__name__]


def _by_shape(found: list[Facts]) -> dict[tuple[str, str], Facts]:
    return {(one.op, one.shape): one for one in found}


@pytest.fixture(scope="module")
def hopper() -> dict[tuple[str, str], Facts]:
    return _by_shape(inspect_all(Request(arches=["sm_90"], modules=OF_TRIAL), jobs=2))


def test_a_good_prefill_tile_uses_hgmma_wide_loads_and_no_stack(hopper: dict[tuple[str, str], Facts]) -> None:
    tile = hopper["product", "128 x 128 x 64"]
    assert not tile.error
    assert tile.counts.async_matrix > 0
    assert tile.counts.matrix == 0
    assert tile.wide_share == 1.0
    assert (tile.spill_bytes, tile.counts.spills) == (0, 0)
    assert tile.shared_bytes == 3 * 2 * 128 * 64 * 2
    assert tile.ctas_per_sm == 2
    assert not budgets.breaches([tile], [], budgets.load())


def test_a_decode_tile_uses_the_matrix_unit_of_a_warp(hopper: dict[tuple[str, str], Facts]) -> None:
    tile = hopper["product", "16 x 64 x 64"]
    assert (tile.counts.async_matrix, tile.counts.matrix > 0) == (0, True)
    assert not budgets.breaches([tile], [], budgets.load())


def test_strides_of_unknown_divisor_make_narrow_loads_and_break_a_budget(
    hopper: dict[tuple[str, str], Facts],
) -> None:
    narrow = hopper["narrow", "16 x 64 x 64"]
    assert narrow.wide_share == 0.0
    assert narrow.counts.weight_bytes > 0
    assert "in 128-bit loads" in budgets.breaches([narrow], [], budgets.load())[0]


def test_registers_that_go_to_memory_are_seen_and_break_a_budget(hopper: dict[tuple[str, str], Facts]) -> None:
    spilled = hopper["hoards", "many"]
    assert spilled.spill_bytes > 0
    assert spilled.counts.spills > 0
    assert "bytes spilled, limit 0" in budgets.breaches([spilled], [], budgets.load())[0]


def test_too_much_shared_memory_is_seen_and_leaves_no_block(hopper: dict[tuple[str, str], Facts]) -> None:
    huge = hopper["huge", "128 x 128 x 64"]
    assert huge.ctas_per_sm == 0
    assert any("bytes of shared memory" in line for line in budgets.breaches([huge], [], budgets.load()))


def test_what_does_not_compile_is_a_breach_and_no_traceback(hopper: dict[tuple[str, str], Facts]) -> None:
    refused = hopper["refused", "128 x 128 x 8"]
    assert refused.error
    assert "does not compile" in budgets.breaches([refused], [], budgets.load())[0]


@pytest.mark.full
@pytest.mark.parametrize(("arch", "unit"), [("sm_80", "matrix"), ("sm_100", "async_matrix"), ("gfx942", "matrix")])
def test_other_architectures_are_told_apart_by_their_matrix_instructions(arch: str, unit: str) -> None:
    tile = _by_shape(inspect_all(Request(arches=[arch], modules=OF_TRIAL, ops=["product"])))[
        "product", "128 x 128 x 64"
    ]
    assert getattr(tile.counts, unit) > 0
    assert tile.wide_share == 1.0
    assert tile.spill_bytes == 0


def test_nothing_is_compiled_where_kernels_are_interpreted() -> None:
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET=1"):
        aot.compile_variant(trial_kernels.tile(M=16, N=64, K=64), "sm_90")


def test_a_row_is_described_before_it_is_compiled() -> None:
    known = aot.describe(trial_kernels.tile(M=16, N=64, K=64, role="decode"), "sm_90")
    assert known["tile"] == "M=16,N=64,K=64"
    assert (known["kernel"], known["reads_weights"]) == ("product", True)


def test_a_refusal_in_this_process_is_a_row_too() -> None:
    refused = aot.inspect_variant(trial_kernels.tile(M=16, N=64, K=64), "sm_90")
    assert refused.error.startswith("RuntimeError: TRITON_INTERPRET=1")


def test_a_compiled_kernel_is_measured_by_its_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    amd = "v_mfma_f32_32x32x8_bf16_1k\n.private_segment_fixed_size: 0\n.vgpr_count: 128\n.group_segment_fixed_size: 0"
    built = SimpleNamespace(
        asm={"amdgcn": amd, "cubin": b"binary"}, metadata=SimpleNamespace(shared=65536, num_warps=8)
    )
    said = {
        "cuobjdump": "REG:128 STACK:8 SHARED:0",
        "nvdisasm": "        /*0000*/    HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24 ;\n",
    }
    monkeypatch.setattr(aot, "compile_variant", lambda *_: built)
    monkeypatch.setattr(aot, "_tool", lambda name, *_: said[name])
    variant = trial_kernels.tile(M=16, N=64, K=64)
    found = aot.inspect_variant(variant, "gfx942")
    assert (found.registers, found.counts.matrix, found.ctas_per_sm, found.occupancy) == (128, 1, 1, 0.25)
    found = aot.inspect_variant(variant, "sm_90")
    assert (found.spill_bytes, found.counts.async_matrix, found.ctas_per_sm) == (8, 1, 2)
