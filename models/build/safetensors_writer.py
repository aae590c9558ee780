"""Writes a safetensors file one tensor at a time, so that memory holds one tensor and never the model.

Format: https://github.com/huggingface/safetensors#format (8 bytes of header length, JSON header, then the bytes).
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import torch

from headrace.contracts.errors import StoreError

_NAMES: Final = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int8: "I8",
}
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that will be written: name, type and shape are promised before its bytes exist."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * self.dtype.itemsize


class SafetensorsWriter:
    """A file being written; `write` takes the tensors in the promised order. Not safe to share between threads."""

    def __init__(self, path: Path, specs: Sequence[TensorSpec], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._pending = list(reversed(specs))
        self._digest = hashlib.sha256()
        header: dict[str, object] = {"__metadata__": dict(metadata)}
        end = 0
        for spec in specs:
            start, end = end, end + spec.size_bytes
            header[spec.name] = {"dtype": _NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self.size_bytes = 8 + len(text) + end
        self._file = path.open("wb")
        self._put(len(text).to_bytes(8, "little"))
        self._put(text)

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Append one tensor; StoreError when it is not the one promised next."""
        spec = self._pending.pop() if self._pending else None
        if spec is None or (spec.name, spec.dtype, spec.shape) != (name, tensor.dtype, tuple(tensor.shape)):
            raise StoreError(f"{self.path.name}: {spec} was promised next, got {name} {tensor.dtype} {tensor.shape}")
        self._put(tensor.contiguous().flatten().view(torch.uint8).numpy().data)

    def finish(self) -> str:
        """Flush to the disk and return the file's sha256; StoreError when promised tensors are missing."""
        if self._pending:
            raise StoreError(f"{self.path.name}: {len(self._pending)} promised tensors were not written")
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def _put(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digest.update(data)
