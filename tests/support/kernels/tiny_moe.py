"""A small mixture of experts in Qwen3's form, with weights that mean something: routing is far from uniform."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AttentionInterface, Qwen3MoeConfig, Qwen3MoeForCausalLM

from headrace.kernels.quant_layout import restore, round_groups

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


def logits_of(model: Qwen3MoeForCausalLM, tokens: list[int]) -> torch.Tensor:
    """Return the logits [tokens, vocabulary] of the model itself, without vLLM."""
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return logits


def chosen_experts(model: Qwen3MoeForCausalLM, tokens: list[int]) -> torch.Tensor:
    """Return which experts serve each token, bool [layers, tokens, experts]."""
    with torch.no_grad():
        found = model(torch.tensor([tokens]), output_router_logits=True).router_logits
    chosen = torch.zeros(len(found), len(tokens), EXPERTS, dtype=torch.bool)
    for layer, logits in enumerate(found):
        chosen[layer].scatter_(1, logits.topk(TOP_K).indices, value=True)
    return chosen


def rounded(model: Qwen3MoeForCausalLM, bits: int, group: int) -> Qwen3MoeForCausalLM:
    """Return a copy whose experts are what their rounded values stand for."""
    copy = deepcopy(model)
    for layer in copy.model.layers:
        for weight in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
            values, scale, _ = round_groups(weight.data, bits=bits, group=group)
            weight.data = restore(values, scale, None, k=weight.shape[-1], dtype=weight.dtype)
    return copy


@contextmanager
def looking_at(
    model: Qwen3MoeForCausalLM, seen: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Let attention look only at what `seen(q [S, H, D], keys [S, Hkv, D])` says, bool [H, S, S], causal besides."""

    def attend(module: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **named: Any) -> Any:
        queries, keys, values = (each[0].transpose(0, 1) for each in (q, k, v))
        allowed = seen(queries, keys) & torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
        k, v = (each.repeat_interleave(module.num_key_value_groups, dim=1) for each in (keys, values))
        scores = torch.einsum("qhd,khd->hqk", queries, k) * named["scaling"]
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, v)[None], None

    AttentionInterface.register("seen", attend)
    before = model.config._attn_implementation
    model.set_attn_implementation("seen")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
