import pytest

from headrace.kernels.inspect import amdgcn
from headrace.kernels.inspect.facts import Counts
from headrace.kernels.inspect.load_lines import Loads
from headrace.kernels.inspect.sass import Resources

TEXT = """
	.file	1 "/src" "k.py"
	.loc	1 7 12                          ; k.py:7:12
	global_load_dwordx4 v[2:5], v[82:83], off
	buffer_load_ushort v9, v2, s[4:7], 0 offen
	.loc	1 9 12 is_stmt 0
	global_load_dwordx2 v[2:3], v[4:5], off
	buffer_load_dword v1, s[8:11], 0 offen lds
	global_load_ubyte v1, v[2:3], off
	s_load_dwordx4 s[12:15], s[0:1], 0x28
	v_mfma_f32_32x32x8_bf16_1k a[0:15], v[0:1], v[2:3], a[0:15]
	ds_bpermute_b32 v1, v2, v3
	v_add_f32_dpp v1, v2, v3 quad_perm:[1,0,3,2]
	s_barrier
	scratch_store_dword off, v1, off
    .group_segment_fixed_size: 65536
    .private_segment_fixed_size: 12
    .vgpr_count:     128
"""


def test_instructions_are_counted_by_what_they_do_and_loads_by_width_and_line() -> None:
    assert amdgcn.count(TEXT, Loads(frozenset({("/src/k.py", 7)}), frozenset({("/src/k.py", 9)}))) == Counts(
        matrix=1, shuffles=2, barriers=1, spills=1,
        weight_bytes=18, weight_bytes_wide=16, load_bytes=31, load_bytes_wide=16,
    )  # fmt: skip


def test_resources_are_read_from_the_metadata_and_their_absence_is_said() -> None:
    assert amdgcn.resources(TEXT) == Resources(128, 12, 65536)
    with pytest.raises(ValueError, match=r"no \.vgpr_count"):
        amdgcn.resources("s_endpgm")
