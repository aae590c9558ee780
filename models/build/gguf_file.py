"""Reads a GGUF file's header: metadata and where each tensor lies. Weights stay in the file, mapped, until asked for.

The `gguf` package has a reader too; it makes a numpy view of each string of the vocabulary and so needs seventeen
seconds for 150,000 tokens, where one pass over the bytes needs less than one.
Layout: the GGUF specification, versions 2 and 3, little-endian.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from headrace.contracts.errors import StoreError

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final[dict[int, str]] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_DEFAULT_ALIGNMENT: Final = 32


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor as the file has it. `shape` is rows first, as torch counts; `offset` is from the start of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row: whole blocks, as the format demands."""
        block, block_bytes = GGML_QUANT_SIZES[self.kind]
        return self.shape[-1] // block * block_bytes

    @property
    def rows(self) -> int:
        """Rows of the tensor seen as a matrix; 1 for a vector."""
        return math.prod(self.shape[:-1])


class GgufFile:
    """A GGUF file opened for reading. `metadata` and `tensors` are whole; `raw` maps rows on demand. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            self.metadata, self.tensors = self._read_header()
        except (struct.error, IndexError, ValueError, KeyError, UnicodeDecodeError) as exc:
            raise StoreError(f"{path.name}: the GGUF header cannot be read ({exc}); fetch the model again") from exc

    def raw(self, tensor: StoredTensor, first: int, last: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return rows [first, last) as stored bytes, shape [rows, row_bytes], without a copy."""
        count = (last - first) * tensor.row_bytes
        start = tensor.offset + first * tensor.row_bytes
        return np.frombuffer(self._map, dtype=np.uint8, count=count, offset=start).reshape(last - first, -1)

    def _read_header(self) -> tuple[dict[str, Any], dict[str, StoredTensor]]:
        cursor = _Cursor(self._map)
        if cursor.take(4) != _MAGIC:
            raise ValueError("no GGUF magic")
        version = cursor.scalar("<I")
        if version not in _VERSIONS:
            raise ValueError(f"version {version}, known are {_VERSIONS}")
        tensor_count, pair_count = cursor.scalar("<Q"), cursor.scalar("<Q")
        metadata: dict[str, Any] = {}
        for _ in range(pair_count):
            key = cursor.string()
            metadata[key] = cursor.value(cursor.scalar("<I"))
        listed = [self._read_tensor(cursor) for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        base = math.ceil(cursor.position / alignment) * alignment
        tensors = {t.name: StoredTensor(t.name, t.shape, t.kind, base + t.offset) for t in listed}
        for tensor in tensors.values():
            if tensor.offset + tensor.rows * tensor.row_bytes > len(self._map):
                raise ValueError(f"{tensor.name} ends beyond the file")
        return metadata, tensors

    @staticmethod
    def _read_tensor(cursor: "_Cursor") -> StoredTensor:
        name = cursor.string()
        axes = cursor.scalar("<I")
        shape = tuple(cursor.scalar("<Q") for _ in range(axes))[::-1]
        kind = GGMLQuantizationType(cursor.scalar("<I"))
        return StoredTensor(name, shape, kind, cursor.scalar("<Q"))


class _Cursor:
    """Walks the header once."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self.position : self.position + count]
        if len(piece) != count:
            raise ValueError("the file ends inside its header")
        self.position += count
        return piece

    def scalar(self, form: str) -> Any:  # noqa: ANN401  (the format string decides)
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        return self.take(self.scalar("<Q")).decode()

    def value(self, kind: int) -> Any:  # noqa: ANN401  (the file decides)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        item, count = self.scalar("<I"), self.scalar("<Q")
        if item == _STRING:
            return [self.string() for _ in range(count)]
        form = _SCALARS[item]
        return list(struct.unpack(f"<{count}{form[1]}", self.take(count * struct.calcsize(form))))
