"""A small mixture of experts in Qwen3's form, with weights that mean something: routing is far from uniform."""

from pathlib import Path
from typing import Final

import torch
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

VOCAB: Final = 256
LAYERS: Final = 4
EXPERTS: Final = 16
TOP_K: Final = 4
SEED: Final = 7


def config() -> Qwen3MoeConfig:
    """Return the model's config."""
    return Qwen3MoeConfig(
        vocab_size=VOCAB,
        hidden_size=128,
        intermediate_size=256,
        moe_intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        num_experts=EXPERTS,
        num_experts_per_tok=TOP_K,
        norm_topk_prob=True,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        torch_dtype="float32",
    )


def build(folder: Path) -> Qwen3MoeForCausalLM:
    """Write the model to `folder` and return it."""
    torch.manual_seed(SEED)
    model = Qwen3MoeForCausalLM(config()).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, weight.shape[-1] ** -0.5)
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                weight.fill_(1.6)  # sharp attention: which keys are kept matters
            if name.endswith("mlp.gate.weight"):
                favour = torch.linspace(0.6, 2.4, weight.shape[0])
                weight.mul_(favour[:, None])  # some experts are liked more than others
        model.model.embed_tokens.weight.normal_(0.0, 1.0)
        model.lm_head.weight.mul_(2.0)
    model.save_pretrained(folder)
    return model


def prompt(tokens: int, seed: int = SEED) -> list[int]:
    """Return a prompt in which earlier stretches come again, so that far keys matter."""
    torch.manual_seed(seed)
    stretch = torch.randint(3, VOCAB, (tokens // 3,)).tolist()
    fresh = torch.randint(3, VOCAB, (tokens - 2 * len(stretch),)).tolist()
    return [*stretch, *fresh, *stretch]
