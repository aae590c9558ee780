"""What GGUF calls things and what a served folder calls them, for the decoder families we import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.contracts.errors import StoreError
from headrace.models.build.gguf_file import GgufFile

EMBEDDING: Final = "model.embed_tokens.weight"
HEAD: Final = "lm_head.weight"

_OUTER: Final = {"token_embd.weight": EMBEDDING, "output_norm.weight": "model.norm.weight", "output.weight": HEAD}
_INNER: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_LINEAR_SUFFIX: Final = "_proj.weight"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family. `has_paired_rotary`: GGUF stores its query and key rows in rotary pairs, torch in halves."""

    model_type: str
    class_name: str
    has_paired_rotary: bool
    config: Mapping[str, Any]


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "llama": Architecture(
        "llama", "LlamaForCausalLM", has_paired_rotary=True, config={"attention_bias": False, "mlp_bias": False}
    ),
    "qwen2": Architecture("qwen2", "Qwen2ForCausalLM", has_paired_rotary=False, config={"use_sliding_window": False}),
}


def architecture_of(source: GgufFile) -> Architecture:
    """Return the family of a file; StoreError names the known ones."""
    name = str(source.metadata.get("general.architecture"))
    if name not in ARCHITECTURES:
        raise StoreError(f"{source.path.name}: architecture {name!r} cannot be imported; known: {[*ARCHITECTURES]}")
    return ARCHITECTURES[name]


def served_name(stored: str) -> str:
    """Return the served name of a stored tensor; StoreError for one no family has."""
    if stored in _OUTER:
        return _OUTER[stored]
    block, _, rest = stored.removeprefix("blk.").partition(".")
    part, _, leaf = rest.rpartition(".")
    if not stored.startswith("blk.") or part not in _INNER or leaf not in {"weight", "bias"}:
        raise StoreError(f"tensor {stored!r} has no place in a decoder we import")
    return f"model.layers.{block}.{_INNER[part]}.{leaf}"


def is_linear(served: str) -> bool:
    """Tell whether a served tensor is the weight of a linear layer inside a block (the head is not)."""
    return served.endswith(_LINEAR_SUFFIX)


def model_config(source: GgufFile, *, is_tied: bool) -> dict[str, Any]:
    """Return config.json of the served model, in bf16, from the file's metadata."""
    architecture = architecture_of(source)
    prefix = source.metadata["general.architecture"]

    def field(name: str) -> Any:  # noqa: ANN401  (metadata decides)
        try:
            return source.metadata[f"{prefix}.{name}"]
        except KeyError as exc:
            raise StoreError(f"{source.path.name}: metadata has no {prefix}.{name}") from exc

    hidden, heads = field("embedding_length"), field("attention.head_count")
    tokens = source.metadata
    return {
        "architectures": [architecture.class_name],
        "model_type": architecture.model_type,
        "hidden_size": hidden,
        "intermediate_size": field("feed_forward_length"),
        "num_hidden_layers": field("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": field("attention.head_count_kv"),
        "head_dim": hidden // heads,
        "max_position_embeddings": field("context_length"),
        # The file has a float32; the digits beyond it are noise of the conversion.
        "rms_norm_eps": float(f"{field('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": field("rope.freq_base"),
        "hidden_act": "silu",
        "vocab_size": source.tensors["token_embd.weight"].shape[0],
        "bos_token_id": tokens.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": tokens.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": tokens.get("tokenizer.ggml.padding_token_id"),
        "tie_word_embeddings": is_tied,
        "dtype": "bfloat16",
        **architecture.config,
    }


def unpair_rotary(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Put the rows of a query or key projection [heads * size, columns] back from rotary pairs into halves."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(rows.shape)
