"""Which embedder a folder of the model store is: what an index remembers of whoever made its vectors."""

import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec

from headrace.contracts.errors import StoreError
from headrace.contracts.retrieval import EmbedderId

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PARTS: Final = ("embedding.json", "model.onnx", "tokenizer.json")


def embedder_id(model: str, folder: Path) -> EmbedderId:
    """Return the identity of a stored embedding model; StoreError where it is incomplete.

    The store names folders by the hash of their content; of any other folder, the parts are hashed.
    """
    folder = folder.resolve()
    try:
        shape = msgspec.json.decode((folder / "embedding.json").read_bytes(), type=dict[str, object])
        dimensions = msgspec.convert(shape.get("dimensions"), int)
        digest = folder.name if _DIGEST.fullmatch(folder.name) else _hashed(folder)
    except (OSError, msgspec.MsgspecError) as exc:
        raise StoreError(f"embedding model {model!r} is incomplete; run: headrace models import {model}") from exc
    return EmbedderId(model, digest, dimensions)


def _hashed(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in _PARTS:
        with (folder / name).open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
