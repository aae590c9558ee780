import pytest

from headrace.kernels.inspect import sass
from headrace.kernels.inspect.facts import Counts
from headrace.kernels.inspect.load_lines import Loads

LISTING = """
	.section	.text.kernel
	//## File "/k.py", line 7
        /*0000*/                   LDGSTS.E.BYPASS.LTC128B.128 [R35], desc[UR16][R4.64], P5 ;
        /*0010*/              @!P0 LDG.E.U16.CONSTANT R9, desc[UR4][R2.64] ;
	//## File "/k.py", line 9
        /*0020*/                   LDG.E.64 R6, desc[UR4][R2.64+0x10] ;
        /*0030*/                   LDG.E R6, desc[UR4][R2.64+0x10] ;
        /*0040*/                   LDGDEPBAR ;
        /*0050*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;
        /*0060*/                   HMMA.16816.F32.BF16 R4, R12, R8, R4 ;
        /*0070*/               @P1 SHFL.BFLY PT, R3, R2, 0x10, 0x1f ;
        /*0080*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0090*/                   STL.64 [R1], R2 ;
        /*00a0*/              @!UP0 UTCHMMA gdesc[UR4], gdesc[UR6], tmem[UR8] ;
        /*00b0*/                   LDL R1, [R1] ;
"""


def test_instructions_are_counted_by_what_they_do_and_loads_by_width_and_line() -> None:
    assert sass.count(LISTING, Loads(frozenset({("/k.py", 7)}), frozenset({("/k.py", 9)}))) == Counts(
        async_matrix=2, matrix=1, shuffles=1, barriers=1, spills=2,
        weight_bytes=18, weight_bytes_wide=16, load_bytes=30, load_bytes_wide=16,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("opcode", "width"),
    [
        ("LDG.E.128", 16),
        ("LDG.E.ENL2.256", 32),
        ("LDG.E.S8", 1),
        ("LDGSTS.E.LTC128B", 4),
        ("UTMALDG.2D", 16),
        ("LDS.128", 0),
    ],
)
def test_the_width_of_a_load_is_what_one_thread_gets(opcode: str, width: int) -> None:
    assert sass.load_bytes(opcode) == width


def test_resources_are_read_and_their_absence_is_said() -> None:
    text = " Function kern:\n  REG:106 STACK:24 SHARED:1024 LOCAL:0 CONSTANT[0]:584"
    assert sass.resources(text) == sass.Resources(106, 24, 1024)
    with pytest.raises(ValueError, match="no REG, STACK and SHARED"):
        sass.resources("cuobjdump fatal: nothing")
