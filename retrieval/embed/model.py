"""A sentence-embedding model: tokens in, normalised vectors out. Blocking; runs in the worker's threads only.

The folder holds `model.onnx` (inputs input_ids and attention_mask int64 [batch, sequence]; output `embedding` float32
[batch, dimensions], pooled and normalised inside), `tokenizer.json` and `embedding.json` {max_tokens, dimensions}.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no stubs
from tokenizers import Tokenizer

from headrace.contracts.errors import InvalidRequest, StoreError


class _Shape(msgspec.Struct):
    max_tokens: int
    dimensions: int


class EmbeddingModel:
    """One loaded model. `tokenize` and `embed` may run in different threads."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        try:
            shape = msgspec.json.decode((folder / "embedding.json").read_bytes(), type=_Shape)
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, msgspec.DecodeError) as exc:
            raise StoreError(f"embedding model in {folder.name!r} is incomplete; fetch it again") from exc
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.max_tokens = shape.max_tokens
        self.dimensions = shape.dimensions
        self._vocabulary = self._tokenizer.get_vocab_size(with_added_tokens=True)
        empty = self._tokenizer.encode("").ids
        self._first, self._last = empty[:1], empty[1:]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            str(folder / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def tokenize(self, inputs: Sequence[str | Sequence[int]]) -> list[list[int]]:
        """Return token ids with the model's own first and last tokens; InvalidRequest names an input that is wrong."""
        texts = [item for item in inputs if isinstance(item, str)]
        encoded = iter(self._tokenizer.encode_batch(texts)) if texts else iter(())
        sequences: list[list[int]] = []
        for position, item in enumerate(inputs):
            ids: list[int] = next(encoded).ids if isinstance(item, str) else self._wrap(item, position)
            if len(ids) > self.max_tokens:
                raise InvalidRequest(
                    f"input[{position}] has {len(ids)} tokens; this model takes at most {self.max_tokens}: split it",
                    param="input",
                )
            sequences.append(ids)
        return sequences

    def embed(self, sequences: Sequence[Sequence[int]]) -> list[bytes]:
        """Return one little-endian float32 vector per token sequence."""
        longest = max(len(ids) for ids in sequences)
        tokens = np.zeros((len(sequences), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(sequences):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        (vectors,) = self._session.run(["embedding"], {"input_ids": tokens, "attention_mask": mask})
        return [row.astype("<f4", copy=False).tobytes() for row in np.asarray(vectors)]

    def _wrap(self, ids: Sequence[int], position: int) -> list[int]:
        if not ids or any(not 0 <= token < self._vocabulary for token in ids):
            raise InvalidRequest(
                f"input[{position}] holds no tokens of this model (ids 0 to {self._vocabulary - 1})", param="input"
            )
        inner = list(ids)
        return inner if inner[:1] == self._first else [*self._first, *inner, *self._last]
