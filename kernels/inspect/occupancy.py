"""How many thread blocks of a kernel fit a multiprocessor, from the vendors' published limits."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Device:
    """Limits of one multiprocessor (SM, or CU of AMD).

    registers: in 32-bit words of the whole multiprocessor, given out to warps in pieces of `granule`.
    reserved: shared memory the system keeps of each block.
    """

    warp: int
    max_warps: int
    max_blocks: int
    registers: int
    granule: int
    shared_bytes: int
    reserved: int


DEVICES: Final = {
    "sm_80": Device(32, 64, 32, 65536, 256, 164 * 1024, 1024),
    "sm_90": Device(32, 64, 32, 65536, 256, 228 * 1024, 1024),
    "sm_100": Device(32, 64, 32, 65536, 256, 228 * 1024, 1024),
    # Four SIMDs of 512 vector registers a lane, at most 8 waves each.
    "gfx942": Device(64, 32, 32, 4 * 512 * 64, 8 * 64, 64 * 1024, 0),
}


def blocks_per_multiprocessor(arch: str, *, registers: int, shared_bytes: int, num_warps: int) -> int:
    """Return how many blocks fit at once: 0 where not even one does."""
    device = DEVICES[arch]
    a_warp = max(1, -(-registers * device.warp // device.granule)) * device.granule
    by_registers = device.registers // a_warp // num_warps
    by_shared = device.shared_bytes // (shared_bytes + device.reserved) if shared_bytes else device.max_blocks
    return min(by_registers, by_shared, device.max_warps // num_warps, device.max_blocks)


def occupancy(arch: str, *, blocks: int, num_warps: int) -> float:
    """Return the share of the warps a multiprocessor can hold."""
    return blocks * num_warps / DEVICES[arch].max_warps
