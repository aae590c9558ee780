"""A BERT sentence encoder as one ONNX graph: token ids in, pooled and normalised vectors out.

The graph is laid out by hand from the weights, so no tracer stands between the model and what is served, and query,
key and value are one matrix product. Batch and sequence are free. What it computes is compared with torch before it is
published.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors import safe_open

from headrace.contracts.errors import StoreError

MIN_COSINE: Final = 0.9999
_OPSET: Final = 20
_IR_VERSION: Final = 10
_MASKED: Final = -1e9
_CHECK_TEXTS: Final = (
    "Which river turns the mill wheel?",
    "A headrace leads water from the weir to the wheel; a tailrace takes it back to the river below.",
    "def area(width, height): return width * height",
    "x",
)
_TOKENIZER_FIELDS: Final = ("truncation", "padding")


class _Graph:
    """Nodes and weights of the graph being laid out."""

    def __init__(self, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401  (an ONNX attribute)
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def linear(self, value: str, *names: str) -> str:
        """Multiply by the named layers' weights side by side, and add their biases."""
        matrix = np.concatenate([self.weights[f"{name}.weight"].T for name in names], axis=1)
        bias = np.concatenate([self.weights[f"{name}.bias"] for name in names])
        product = self.node("MatMul", value, self.constant(f"{names[0]}.matrix", matrix))
        return self.node("Add", product, self.constant(f"{names[0]}.offset", bias))

    def layer_norm(self, value: str, name: str, epsilon: float) -> str:
        return self.node(
            "LayerNormalization", value, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), epsilon=epsilon
        )


def build_sentence_encoder(files: Mapping[str, Path], folder: Path, *, max_tokens: int) -> float:
    """Write model.onnx, tokenizer.json and embedding.json into `folder` and return the lowest cosine to torch.

    files: model.safetensors, config.json and tokenizer.json of the encoder. StoreError when the gate fails.
    """
    config = json.loads(files["config.json"].read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise StoreError(f"a BERT encoder with gelu is wanted, not {config.get('model_type')!r}")
    with safe_open(files["model.safetensors"], framework="np") as opened:
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (not a mapping)
    model = encoder_graph(weights, config)
    tokenizer = json.loads(files["tokenizer.json"].read_text(encoding="utf-8"))
    # Length is the worker's matter: it truncates to max_tokens and pads a batch to its longest text.
    tokenizer.update(dict.fromkeys(_TOKENIZER_FIELDS))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    onnx.save(model, folder / "model.onnx")
    facts = {"max_tokens": max_tokens, "dimensions": config["hidden_size"], "pad_token_id": config["pad_token_id"]}
    (folder / "embedding.json").write_text(json.dumps(facts), encoding="utf-8")
    cosine = lowest_cosine(model, files, folder)
    if cosine < MIN_COSINE:
        raise StoreError(f"the exported encoder's cosine to torch is {cosine:.6f}, under the gate of {MIN_COSINE}")
    return cosine


def encoder_graph(weights: Mapping[str, np.ndarray[Any, Any]], config: Mapping[str, Any]) -> onnx.ModelProto:
    """Return the checked graph: input_ids, attention_mask int64 [batch, sequence] -> embedding float32 [batch, h]."""
    graph = _Graph(weights)
    hidden = _embed(graph, config["layer_norm_eps"])
    bias = _mask_bias(graph)
    for index in range(config["num_hidden_layers"]):
        hidden = _layer(graph, hidden, bias, f"encoder.layer.{index}", config)
    _pool(graph, hidden)
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    )
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", config["hidden_size"]])
    body = helper.make_graph(graph.nodes, "sentence_encoder", [ids, mask], [out], [*graph.constants.values()])
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="headrace"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def lowest_cosine(model: onnx.ModelProto, files: Mapping[str, Path], folder: Path) -> float:
    """Return the lowest cosine between the graph's vectors and torch's over a padded batch of texts."""
    from tokenizers import Tokenizer  # noqa: PLC0415  (only the gate needs it)

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    batch = tokenizer.encode_batch(list(_CHECK_TEXTS))
    ids = np.array([one.ids for one in batch], dtype=np.int64)
    mask = np.array([one.attention_mask for one in batch], dtype=np.int64)
    (got,) = ReferenceEvaluator(model).run(None, {"input_ids": ids, "attention_mask": mask})
    wanted = _torch_vectors(files, ids, mask)
    return float((np.asarray(got, dtype=np.float64) * wanted).sum(axis=1).min())


def _torch_vectors(
    files: Mapping[str, Path], ids: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    from safetensors.torch import load_file  # noqa: PLC0415  (only the gate needs it)
    from transformers import BertConfig, BertModel  # noqa: PLC0415  (takes seconds; only the gate needs it)

    config = BertConfig(**json.loads(files["config.json"].read_text(encoding="utf-8")))
    reference = BertModel(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
    reference.train(mode=False)
    state = {name: value for name, value in load_file(files["model.safetensors"]).items() if "pooler" not in name}
    state.pop("embeddings.position_ids", None)
    reference.load_state_dict(state)
    ids_t, mask_t = torch.from_numpy(ids), torch.from_numpy(mask)
    with torch.inference_mode():
        states = reference(input_ids=ids_t, attention_mask=mask_t).last_hidden_state
        weights = mask_t[..., None].to(states.dtype)
        vectors = torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)
    return vectors.to(torch.float64).numpy()


def _embed(graph: _Graph, epsilon: float) -> str:
    words = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    # Positions run 0..sequence-1 and every token is of the first segment.
    length = graph.node("Shape", "input_ids", start=1, end=2)
    zero = graph.constant("zero", np.array([0], dtype=np.int64))
    places = graph.node("Slice", graph.weight("embeddings.position_embeddings.weight"), zero, length, zero)
    segment = graph.constant("segment", graph.weights["embeddings.token_type_embeddings.weight"][:1])
    return graph.layer_norm(
        graph.node("Add", graph.node("Add", words, places), segment), "embeddings.LayerNorm", epsilon
    )


def _mask_bias(graph: _Graph) -> str:
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = graph.node("Sub", graph.constant("one", np.array(1, dtype=np.float32)), mask)
    bias = graph.node("Mul", hidden, graph.constant("masked", np.array(_MASKED, dtype=np.float32)))
    return graph.node("Unsqueeze", bias, graph.constant("head_axes", np.array([1, 2], dtype=np.int64)))


def _layer(graph: _Graph, hidden: str, bias: str, name: str, config: Mapping[str, Any]) -> str:
    heads, width, epsilon = config["num_attention_heads"], config["hidden_size"], config["layer_norm_eps"]
    size = width // heads
    attention = f"{name}.attention"
    joined = graph.linear(hidden, *(f"{attention}.self.{part}" for part in ("query", "key", "value")))
    split = graph.constant("split_heads", np.array([0, 0, 3, heads, size], dtype=np.int64))
    spread = graph.node("Transpose", graph.node("Reshape", joined, split), perm=[2, 0, 3, 1, 4])
    query, key, value = (
        graph.node("Gather", spread, graph.constant(f"part_{part}", np.array(part, dtype=np.int64)), axis=0)
        for part in range(3)
    )
    scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
    scaled = graph.node("Mul", scores, graph.constant("scale", np.array(size**-0.5, dtype=np.float32)))
    chances = graph.node("Softmax", graph.node("Add", scaled, bias), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", chances, value), perm=[0, 2, 1, 3])
    merged = graph.node("Reshape", mixed, graph.constant("merge_heads", np.array([0, 0, width], dtype=np.int64)))
    told = graph.node("Add", graph.linear(merged, f"{attention}.output.dense"), hidden)
    hidden = graph.layer_norm(told, f"{attention}.output.LayerNorm", epsilon)
    wide = graph.node("Gelu", graph.linear(hidden, f"{name}.intermediate.dense"))
    summed = graph.node("Add", graph.linear(wide, f"{name}.output.dense"), hidden)
    return graph.layer_norm(summed, f"{name}.output.LayerNorm", epsilon)


def _pool(graph: _Graph, hidden: str) -> None:
    sequence_axis = graph.constant("sequence_axis", np.array([1], dtype=np.int64))
    last_axis = graph.constant("last_axis", np.array([-1], dtype=np.int64))
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    weights = graph.node("Unsqueeze", mask, last_axis)
    total = graph.node("ReduceSum", graph.node("Mul", hidden, weights), sequence_axis, keepdims=0)
    # Normalising makes the division by the token count needless: a mean and a sum point the same way.
    length = graph.node("ReduceL2", total, last_axis, keepdims=1)
    floor = graph.constant("floor", np.array(1e-12, dtype=np.float32))
    graph.nodes.append(helper.make_node("Div", [total, graph.node("Max", length, floor)], ["embedding"]))
