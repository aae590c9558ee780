"""What one file may cost: the bounds that stop a bomb before it stops the machine. Plain numbers, no behaviour."""

from typing import Final

import msgspec

MIB: Final = 1 << 20


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one file's conversion.

    max_chars: of text out. max_pages: of a PDF. max_members, max_unpacked_bytes, max_ratio: of a zip container (DOCX).
    seconds: wall clock and processor time of one file. memory_bytes: address space of the converting process.
    """

    max_bytes: int = 64 * MIB
    max_chars: int = 20_000_000
    max_pages: int = 5_000
    max_members: int = 2_000
    max_unpacked_bytes: int = 256 * MIB
    max_ratio: int = 200
    seconds: float = 120.0
    memory_bytes: int = 2048 * MIB
