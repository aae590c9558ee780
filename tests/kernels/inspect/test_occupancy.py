import pytest

from headrace.kernels.inspect.occupancy import blocks_per_multiprocessor, occupancy


@pytest.mark.parametrize(
    ("arch", "registers", "shared_bytes", "num_warps", "blocks"),
    [
        ("sm_90", 255, 0, 4, 2),  # 256 x 32 words a warp: 8 warps fill 65536
        ("sm_90", 32, 0, 4, 16),  # 64 warps at most
        ("sm_90", 16, 0, 1, 32),  # 32 blocks at most
        ("sm_90", 32, 98304, 4, 2),  # 228 KiB, 1 KiB of each block reserved
        ("sm_80", 32, 98304, 4, 1),
        ("sm_90", 32, 294912, 4, 0),
        ("gfx942", 128, 65536, 8, 1),
        ("gfx942", 128, 0, 4, 4),
        ("gfx942", 512, 0, 4, 1),
    ],
)
def test_the_scarcest_of_registers_memory_and_warps_decides(
    arch: str, registers: int, shared_bytes: int, num_warps: int, blocks: int
) -> None:
    assert (
        blocks_per_multiprocessor(arch, registers=registers, shared_bytes=shared_bytes, num_warps=num_warps) == blocks
    )


def test_occupancy_is_the_share_of_the_warps_there_can_be() -> None:
    assert occupancy("sm_90", blocks=2, num_warps=8) == 0.25
    assert occupancy("gfx942", blocks=2, num_warps=8) == 0.5
