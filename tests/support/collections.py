"""Small collections for tests: documents of a few words, and vectors that are easy to think about."""

import math
import struct
from collections.abc import Sequence

from headrace.contracts.retrieval import Attributes, Chunk, Document, EmbedderId

DIMENSIONS = 4
EMBEDDER = EmbedderId("tiny", "0" * 64, DIMENSIONS)


def vector(*numbers: float) -> bytes:
    """Return float32 bytes at length one, the rest of the dimensions zero."""
    padded = [*numbers, *[0.0] * (DIMENSIONS - len(numbers))]
    length = math.hypot(*padded)
    return struct.pack(f"<{DIMENSIONS}f", *[number / length for number in padded])


def turned(degrees: float) -> bytes:
    """Return a vector at this angle to vector(1)."""
    return vector(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


def document(id_: str, texts: Sequence[str], attributes: Attributes | None = None, *, heading: str = "") -> Document:
    """Return a document of these passages, one after another."""
    chunks, start = [], 0
    for text in texts:
        chunks.append(Chunk(text, start, start + len(text), len(text.split()), heading))
        start += len(text) + 1
    return Document(id_, f"{id_}.md", "f" * 64, "\n".join(texts), tuple(chunks), attributes or {})
