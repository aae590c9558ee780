"""Unguessable ids: 128 random bits each, drawn from the system in blocks because every draw is a system call."""

import os
from collections.abc import Callable
from typing import Final

ID_BYTES: Final = 16
BLOCK_IDS: Final = 256


class Ids:
    """Gives 32 hexadecimal digits a call. For one event loop; `draw` is the system's source of random bytes."""

    def __init__(self, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._draw = draw
        self._block = b""
        self._at = 0

    def __call__(self) -> str:
        """Return a fresh id."""
        if self._at >= len(self._block):
            self._block = self._draw(ID_BYTES * BLOCK_IDS)
            self._at = 0
        taken = self._block[self._at : self._at + ID_BYTES]
        self._at += ID_BYTES
        return taken.hex()
