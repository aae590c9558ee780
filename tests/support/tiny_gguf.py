"""A random two-layer Llama of width 64 written as GGUF, with a byte-level vocabulary: a whole import in a moment."""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize

HIDDEN, WIDE, LAYERS, HEADS, KV_HEADS = 64, 128, 2, 4, 2
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"


def byte_tokens() -> list[str]:
    """Return the 256 printable stand-ins of byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(rest))]


def write_tiny(path: Path, *, head: str = "tied", architecture: str = "llama") -> dict[str, np.ndarray[Any, Any]]:
    """Write the model and return its float weights by GGUF name.

    head: "tied" stores none, "twice" the embedding's finer rounding, "own" another matrix.
    """
    rng = np.random.default_rng(7)
    tokens = [*byte_tokens(), "ab", "<|im_start|>", "<|im_end|>", "[PAD]"]
    kinds = [TokenType.NORMAL] * 257 + [TokenType.CONTROL] * 2 + [TokenType.UNUSED]
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(258)
    writer.add_chat_template(TEMPLATE)
    weights = _weights(rng, len(tokens))
    for name, weight in weights.items():
        _add(writer, name, weight, GGMLQuantizationType.Q4_0 if name == "token_embd.weight" else None)
    if head != "tied":
        other = weights["token_embd.weight"] if head == "twice" else -weights["token_embd.weight"]
        _add(writer, "output.weight", other, GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def _weights(rng: np.random.Generator, vocabulary: int) -> dict[str, np.ndarray[Any, Any]]:
    size = HIDDEN // HEADS
    shapes = {
        "attn_q": (HIDDEN, HIDDEN), "attn_k": (KV_HEADS * size, HIDDEN), "attn_v": (KV_HEADS * size, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN), "ffn_gate": (WIDE, HIDDEN), "ffn_up": (WIDE, HIDDEN),
        "ffn_down": (HIDDEN, WIDE),
    }  # fmt: skip
    weights = {
        "token_embd.weight": rng.standard_normal((vocabulary, HIDDEN)) * 0.5,
        "output_norm.weight": np.ones(HIDDEN),
    }
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{norm}.weight"] = np.ones(HIDDEN)
        for name, shape in shapes.items():
            weights[f"blk.{layer}.{name}.weight"] = rng.standard_normal(shape) * shape[1] ** -0.5
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def _add(writer: GGUFWriter, name: str, weight: np.ndarray[Any, Any], kind: GGMLQuantizationType | None) -> None:
    if weight.ndim == 1:
        writer.add_tensor(name, weight)
        return
    kind = kind or GGMLQuantizationType.Q8_0
    writer.add_tensor(name, quantize(weight, kind), raw_dtype=kind)
