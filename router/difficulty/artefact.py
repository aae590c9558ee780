"""A trained artefact on disk: `card.json` (what it is, hashes) and `weights.safetensors` (arrays). No pickle.

The tensor file follows the safetensors layout (8 bytes of header length, a JSON header, raw little-endian arrays), read
here with numpy so that the serving path needs no further package.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError

FORMAT: Final = "headrace-difficulty"
FORMAT_VERSION: Final = 1
CARD_FILE: Final = "card.json"
WEIGHTS_FILE: Final = "weights.safetensors"

Array = npt.NDArray[Any]

_MAX_HEADER_BYTES: Final = 1 << 20
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}


def write_artefact(folder: Path, card: Mapping[str, Any], arrays: Mapping[str, Array], form: str = FORMAT) -> str:
    """Write both files and return the sha256 of the weights. The same input gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    blob = _pack(arrays)
    digest = hashlib.sha256(blob).hexdigest()
    full = {"format": form, "format_version": FORMAT_VERSION, "weights_sha256": digest, **card}
    (folder / WEIGHTS_FILE).write_bytes(blob)
    text = json.dumps(full, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")
    return digest


def read_artefact(folder: Path, form: str = FORMAT) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read and verify both files; ConfigError when one is missing, of another format version, or altered."""
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        blob = (folder / WEIGHTS_FILE).read_bytes()
    except (OSError, ValueError) as exc:
        cure = f"headrace router train --model {form.removeprefix('headrace-')}"
        raise ConfigError(f"{folder}: no readable {form} artefact ({exc}); run `{cure}`") from exc
    found = (card.get("format"), card.get("format_version"))
    if found != (form, FORMAT_VERSION):
        raise ConfigError(
            f"{folder / CARD_FILE}: format {found}, this version reads {(form, FORMAT_VERSION)}; train it again"
        )
    digest = hashlib.sha256(blob).hexdigest()
    if digest != card.get("weights_sha256"):
        raise ConfigError(f"{folder / WEIGHTS_FILE}: sha256 {digest} is not the card's; train or install it again")
    return card, _unpack(blob, folder / WEIGHTS_FILE)


def _pack(arrays: Mapping[str, Array]) -> bytes:
    header: dict[str, Any] = {}
    offset = 0
    parts = []
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        end = offset + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        parts.append(array.tobytes())
        offset = end
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(parts)


def _unpack(blob: bytes, path: Path) -> dict[str, Array]:
    try:
        (length,) = struct.unpack_from("<Q", blob)
        if length > _MAX_HEADER_BYTES:
            raise ConfigError(f"{path}: a header of {length} bytes; at most {_MAX_HEADER_BYTES} are read")
        header = json.loads(blob[8 : 8 + length])
        arrays = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            arrays[name] = np.frombuffer(blob[begin:end], dtype=_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{path}: not a safetensors file ({exc}); train or install it again") from exc
    return arrays
