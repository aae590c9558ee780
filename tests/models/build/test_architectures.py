import pytest

pytest.importorskip("torch", reason="the build runs in the engine environment")

from pathlib import Path

import numpy as np

from headrace.contracts.errors import StoreError
from headrace.models.build.architectures import (
    architecture_of,
    is_linear,
    model_config,
    served_name,
    unpair_rotary,
)
from headrace.models.build.gguf_file import GgufFile
from tests.support.tiny_gguf import write_tiny

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize(
    ("stored", "served", "linear"),
    [
        ("token_embd.weight", "model.embed_tokens.weight", False),
        ("output.weight", "lm_head.weight", False),
        ("blk.11.attn_q.weight", "model.layers.11.self_attn.q_proj.weight", True),
        ("blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias", False),
        ("blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight", False),
    ],
)
def test_names_are_translated_and_linears_known(stored: str, served: str, *, linear: bool) -> None:
    assert served_name(stored) == served
    assert is_linear(served) is linear


@pytest.mark.parametrize("name", ["blk.0.ffn_gate_inp.weight", "rope_freqs.weight", "blk.0.attn_q.scale"])
def test_a_tensor_of_another_kind_of_model_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="has no place"):
        served_name(name)


def test_rotary_rows_go_from_pairs_to_halves() -> None:
    paired = np.arange(8)[:, None]
    assert unpair_rotary(paired, heads=2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_the_config_says_what_the_file_says(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf")
    config = model_config(GgufFile(tmp_path / "m.gguf"), is_tied=True)
    assert (config["hidden_size"], config["num_key_value_heads"], config["head_dim"]) == (64, 2, 16)
    assert config["rms_norm_eps"] == 1e-5
    assert config["vocab_size"] == 260


def test_an_unknown_family_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf", architecture="gemma")
    with pytest.raises(StoreError, match=r"'gemma' cannot be imported; known: \['llama', 'qwen2'\]"):
        architecture_of(GgufFile(tmp_path / "m.gguf"))
