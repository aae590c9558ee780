"""A tiny cross-encoder, built from nothing: likes a passage for every cat in it, dislikes taxes."""

from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no stubs
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from headrace.models.store.progress import ignore
from headrace.models.store.store import Store
from tests.support.tiny_embedding import _field, _int, _node, _tensor, _value

__all__ = ["publish_reranker", "write_reranker"]

RERANKER = "ms-marco-minilm-l-12-v2-int8"


def publish_reranker(home: Path) -> None:
    """Put the tiny cross-encoder into the store of a home folder, in the place of the real one."""
    store = Store(home)
    with store.scratch(RERANKER) as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        write_reranker(staged)
        store.publish(RERANKER, staged, facts={}, on_progress=ignore)


def write_reranker(folder: Path) -> None:
    """Write model.onnx (the sum of a table over the passage's tokens) and tokenizer.json."""
    words = ["[CLS]", "[SEP]", "[UNK]", "cat", "dog", "tax", "law"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    nodes = [
        _node("Gather", ["table", "input_ids"], "rows"),
        _node("Mul", ["attention_mask", "token_type_ids"], "both"),
        _node("Cast", ["both"], "mask", _int("to", 1)),
        _node("Unsqueeze", ["mask", "last"], "mask3"),
        _node("Mul", ["rows", "mask3"], "masked"),
        _node("ReduceSum", ["masked", "middle"], "logits", _int("keepdims", 0)),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "tiny")
    table = np.array([[0], [0], [0.1], [3], [1], [-3], [-1]], np.float32)
    for name, values in (("table", table), ("last", np.array([2])), ("middle", np.array([1]))):
        graph += _field(5, _tensor(name, values))
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        graph += _field(11, _value(name, 7, "batch", "sequence"))
    graph += _field(12, _value("logits", 1, "batch", 1))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))
    ort.InferenceSession(model)
    (folder / "model.onnx").write_bytes(model)
