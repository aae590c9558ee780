"""How the converting process is spoken to: a length and that many bytes, over its standard streams."""

from typing import BinaryIO, Final

import msgspec

from headrace.contracts.retrieval import Chunk, Converted
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.ingest.limits import Limits

READY: Final = b"ready"  # the process's first frame
MARKUP: Final = "markup"  # the two kinds of process
PLAIN: Final = "plain"
_LENGTH_BYTES: Final = 8


class Task(msgspec.Struct, frozen=True):
    """One file to convert, and to cut where sizes are given; its content follows in a frame of its own."""

    name: str
    limits: Limits
    sizes: Sizes | None = None


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why a file was not converted."""

    code: str
    message: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A converted file. chunks: without their texts, which their offsets tell."""

    converted: Converted
    chunks: tuple[Chunk, ...] = ()


Reply = Done | Refused


class FrameError(Exception):
    """The other side ended, or sent a frame longer than is taken."""


def write_frame(stream: BinaryIO, content: bytes) -> None:
    """Send one frame; OSError when the other side is gone."""
    stream.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO, most: int) -> bytes:
    """Return the next frame; FrameError where there is none, or one of more than `most` bytes."""
    head = stream.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or length > most:
        raise FrameError(f"a frame of {length} bytes, {len(head)} of its head here")
    content = stream.read(length)
    if len(content) < length:
        raise FrameError(f"a frame of {length} bytes ended after {len(content)}")
    return content
