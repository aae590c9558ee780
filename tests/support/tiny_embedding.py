"""A tiny embedding model, built from nothing: enough to run the worker's real code in milliseconds."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no stubs
from tokenizers import Tokenizer, models, pre_tokenizers, processors

__all__ = ["write_model"]

_DIMENSIONS = 4


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, values: "np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int64]]") -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    kind = 1 if values.dtype == np.float32 else 7
    return dims + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _node(kind: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind) + attributes


def _int(name: str, value: int) -> bytes:
    return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))


def _value(name: str, kind: int, *dims: int | str) -> bytes:
    shape = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def write_model(folder: Path, *, max_tokens: int = 8) -> None:
    """Write model.onnx (mean of table rows, normalised), tokenizer.json and embedding.json."""
    words = ["[CLS]", "[SEP]", "[UNK]", "cat", "dog", "tax", "law"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "embedding.json").write_text(json.dumps({"max_tokens": max_tokens, "dimensions": _DIMENSIONS}))
    table = np.array(
        [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1], [9, 1, 0, 0], [8, 2, 0, 0], [0, 0, 9, 1], [0, 0, 8, 2]], np.float32
    )
    nodes = [
        _node("Gather", ["table", "input_ids"], "rows"),
        _node("Cast", ["attention_mask"], "mask", _int("to", 1)),
        _node("Unsqueeze", ["mask", "last"], "mask3"),
        _node("Mul", ["rows", "mask3"], "masked"),
        _node("ReduceSum", ["masked", "middle"], "sums", _int("keepdims", 0)),
        _node("LpNormalization", ["sums"], "embedding", _int("axis", 1) + _int("p", 2)),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "tiny")
    for name, values in (("table", table), ("last", np.array([2])), ("middle", np.array([1]))):
        graph += _field(5, _tensor(name, values))
    graph += _field(11, _value("input_ids", 7, "batch", "sequence"))
    graph += _field(11, _value("attention_mask", 7, "batch", "sequence"))
    graph += _field(12, _value("embedding", 1, "batch", _DIMENSIONS))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))
    ort.InferenceSession(model)
    (folder / "model.onnx").write_bytes(model)
