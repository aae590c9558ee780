"""An index on disk: `index-<generation>.faiss` and the `manifest.json` that vouches for it. Nothing is unpickled.

Saving is atomic: a file is complete and on disk before the manifest, replaced as a whole, names it.
Loading believes nothing: what is damaged, cut short, swapped or of another history is not opened.
"""

import contextlib
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import msgspec

from headrace.retrieval.nearest.choice import Kind
from headrace.retrieval.nearest.source import Mark

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"

_log = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a saved index is: of which collection and place in its changes, up to which id, and the file's checksum."""

    format: int
    identity: str
    generation: int
    sha256: str
    bytes: int
    mark: Mark
    last_id: int
    kind: Kind
    count: int
    dimensions: int


@dataclass(frozen=True, slots=True)
class Base:
    """A built index, mapped into memory, and its manifest. Read only, safe to share between threads."""

    index: faiss.Index
    manifest: Manifest


def file_of(folder: Path, generation: int) -> Path:
    """Return where a generation is kept."""
    return folder / f"index-{generation}.faiss"


def newest_generation(folder: Path) -> int:
    """Return the greatest generation any file here is of, 0 where there is none."""
    names = [path.stem.removeprefix("index-") for path in folder.glob("index-*.*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def read_manifest(folder: Path, identity: str) -> Manifest | None:
    """Return the manifest if it is one, and of this collection."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        _refused(folder, f"its manifest cannot be read ({exc})")
        return None
    if manifest.format != FORMAT:
        _refused(folder, f"it has format {manifest.format}, this is {FORMAT}")
        return None
    if manifest.identity != identity:
        _refused(folder, "it belongs to another collection")
        return None
    return manifest


def load(folder: Path, manifest: Manifest) -> Base | None:
    """Open the file that a manifest names, if it is what the manifest says."""
    path = file_of(folder, manifest.generation)
    try:
        size, checksum = path.stat().st_size, _sha256(path)
        if (size, checksum) != (manifest.bytes, manifest.sha256):
            _refused(folder, f"{path.name} is not the file that was saved")
            return None
        index = faiss.read_index(str(path), _flags(manifest.kind))
    except (OSError, RuntimeError) as exc:
        _refused(folder, f"{path.name} cannot be opened ({type(exc).__name__})")
        return None
    if (index.ntotal, index.d) != (manifest.count, manifest.dimensions):
        _refused(folder, f"{path.name} holds {index.ntotal} vectors, not {manifest.count}")
        return None
    if isinstance(index, faiss.IndexIVF):
        # Reading ahead starts threads at every search, which costs more than the pages it brings.
        made: Any = faiss  # its stubs take the lists for absent
        made.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
    return Base(index, manifest)


def save(folder: Path, index: faiss.Index, manifest: Manifest) -> Manifest:
    """Put an index on disk under its generation and publish it; returns the manifest with the file's checksum.

    OSError or RuntimeError when there is no room; what was published before stays.
    """
    path = file_of(folder, manifest.generation)
    draft = path.with_suffix(".tmp")
    try:
        faiss.write_index(index, str(draft))
        _to_disk(draft)
        manifest = msgspec.structs.replace(manifest, sha256=_sha256(draft), bytes=draft.stat().st_size)
        draft.replace(path)
        _to_disk(folder)
        _publish(folder, manifest)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def sweep(folder: Path, generation: int) -> None:
    """Remove the files of other generations and of saves that were cut short; open ones live on until closed."""
    kept = {file_of(folder, generation).name, MANIFEST}
    for pattern in ("index-*.faiss", "index-*.tmp", "manifest-*.tmp"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()


def _publish(folder: Path, manifest: Manifest) -> None:
    draft = folder / f"manifest-{manifest.generation}.tmp"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _to_disk(draft)
    draft.replace(folder / MANIFEST)
    _to_disk(folder)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flags(kind: Kind) -> int:
    return faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY if kind == "ivf" else faiss.IO_FLAG_MMAP_IFC


def _refused(folder: Path, why: str) -> None:
    _log.warning("index of collection %s is built anew from its database: %s", folder.name, why)
