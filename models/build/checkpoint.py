"""GGUF in, served folder out: dequantise, run the recipe's steps and write, a few tensors in flight at a time."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from gguf.quants import dequantize

from headrace.contracts.errors import StoreError
from headrace.models.build.architectures import (
    EMBEDDING,
    HEAD,
    architecture_of,
    model_config,
    served_name,
    unpair_rotary,
)
from headrace.models.build.gguf_file import GgufFile, StoredTensor
from headrace.models.build.recipes import NamedTensors, Recipe
from headrace.models.build.safetensors_writer import SafetensorsWriter, TensorSpec
from headrace.models.build.tokenizer_files import tokenizer_files, write_files

Progress = Callable[[int, int], None]

_BLOCK_ELEMENTS: Final = 1 << 24
_IN_FLIGHT: Final = 4
_TIED_COSINE: Final = 0.98
_TIED_SAMPLE_ROWS: Final = 512


@dataclass(frozen=True, slots=True)
class CheckpointRequest:
    """What to make. is_tied: the family shares embedding and head, whatever the file stores twice.

    template_edits: corrections of the chat template, old text -> new text.
    """

    source: Path
    folder: Path
    recipe: Recipe
    is_tied: bool
    template_edits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    """One tensor of the result and where it is read from."""

    name: str
    stored: StoredTensor
    rotary_heads: int


@dataclass(frozen=True, slots=True)
class BuiltCheckpoint:
    """What was written."""

    parameters: int
    weights_sha256: str


def build_checkpoint(request: CheckpointRequest, on_progress: Progress) -> BuiltCheckpoint:
    """Write the served folder. `on_progress(done, total)` counts parameters. The same request gives the same bytes."""
    source = GgufFile(request.source)
    rows = list(_rows(source, is_tied=request.is_tied))
    specs = {row.name: TensorSpec(row.name, torch.float32, row.stored.shape) for row in rows}
    promised = [out for spec in specs.values() for out in request.recipe.promise(spec)]
    total = sum(int(np.prod(row.stored.shape)) for row in rows)
    is_tied = HEAD not in specs
    config: dict[str, Any] = model_config(source, is_tied=is_tied)
    if request.recipe.quantization is not None:
        config["quantization_config"] = request.recipe.quantization
    texts = tokenizer_files(source, template_edits=request.template_edits)
    write_files(request.folder, {**texts, "config.json": json.dumps(config, indent=1)})
    done = 0
    with SafetensorsWriter(request.folder / "model.safetensors", promised, {"format": "pt"}) as writer:
        for row, tensors in _computed(source, rows, request.recipe):
            for name, tensor in tensors:
                writer.write(name, tensor)
            done += int(np.prod(row.stored.shape))
            on_progress(done, total)
        return BuiltCheckpoint(total, writer.finish())


def read_tensor(source: GgufFile, stored: StoredTensor, *, rotary_heads: int = 0) -> torch.Tensor:
    """Return one stored tensor dequantised to bfloat16, read block by block so that scratch memory stays small.

    rotary_heads: heads of a query or key projection that GGUF stores in rotary pairs; 0 for every other tensor.
    """
    columns = stored.shape[-1]
    out = torch.empty((stored.rows, columns), dtype=torch.bfloat16)
    step = max(1, _BLOCK_ELEMENTS // columns) if not rotary_heads else stored.rows
    for first in range(0, stored.rows, step):
        last = min(stored.rows, first + step)
        block = dequantize(source.raw(stored, first, last), stored.kind)
        if not block.flags.writeable:
            block = block.copy()
        if rotary_heads:
            block = unpair_rotary(block, rotary_heads)
        out[first:last] = torch.from_numpy(np.ascontiguousarray(block)).reshape(last - first, columns)
    return out.reshape(stored.shape)


def _rows(source: GgufFile, *, is_tied: bool) -> Iterator[_Row]:
    """Yield what the file will hold. A shared matrix that is stored twice is taken from its finer rounding."""
    heads = _rotary_heads(source)
    head = source.tensors.get("output.weight")
    if is_tied and head is not None:
        _check_tied(source, head)
    for name, stored in source.tensors.items():
        served = served_name(name)
        if is_tied and served == HEAD:
            continue
        chosen = head if is_tied and served == EMBEDDING and head is not None else stored
        part = name.rpartition(".")[0].rpartition(".")[2]
        yield _Row(served, chosen, heads.get(part, 0) if name.endswith(".weight") else 0)


def _rotary_heads(source: GgufFile) -> dict[str, int]:
    if not architecture_of(source).has_paired_rotary:
        return {}
    prefix = source.metadata["general.architecture"]
    query = int(source.metadata[f"{prefix}.attention.head_count"])
    return {"attn_q": query, "attn_k": int(source.metadata.get(f"{prefix}.attention.head_count_kv", query))}


def _check_tied(source: GgufFile, head: StoredTensor) -> None:
    embedding = source.tensors["token_embd.weight"]
    rows = min(_TIED_SAMPLE_ROWS, head.rows)
    one, other = (dequantize(source.raw(t, 0, rows), t.kind).astype(np.float64) for t in (head, embedding))
    cosine = float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))
    if cosine < _TIED_COSINE:
        raise StoreError(
            f"{source.path.name}: head and embedding differ (cosine {cosine:.3f} < {_TIED_COSINE}), so they are not "
            "one matrix; drop `tied: true` from the catalogue entry"
        )


def _computed(source: GgufFile, rows: list[_Row], recipe: Recipe) -> Iterator[tuple[_Row, NamedTensors]]:
    """Yield every result in order while a few more are computed in threads (numpy and torch release the lock)."""

    def compute(row: _Row) -> NamedTensors:
        return recipe.apply(row.name, read_tensor(source, row.stored, rotary_heads=row.rotary_heads))

    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting: deque[tuple[_Row, Future[NamedTensors]]] = deque()
        for row in rows:
            waiting.append((row, pool.submit(compute, row)))
            if len(waiting) > _IN_FLIGHT:
                ready, future = waiting.popleft()
                yield ready, future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, future.result()
