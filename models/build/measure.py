"""How far a compressed form is from its bf16 reference: mean KL and top-1 agreement on a shipped text.

Both are taken from one pass over the same windows. The int8 arithmetic is done as the engine does it: activations
rounded per token, products of whole numbers summed exactly, scales applied after.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open

from headrace.kernels.int8_rounding import round_rows
from headrace.models.build.checkpoint import CheckpointRequest, build_checkpoint
from headrace.models.build.recipes import recipe_for

_TEXT: Final = "measure_text.txt"
_WINDOW: Final = 256


@dataclass(frozen=True, slots=True)
class Figures:
    """KL in nats per token and agreement of the likeliest token, over `tokens` positions; bytes of the weights."""

    kl_nats: float
    top1: float
    tokens: int
    served_bytes: int
    reference_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, JSON-ready."""
        return dataclasses.asdict(self)


class RoundedLinear(torch.nn.Module):
    """A linear layer in int8 W8A8, as the engine computes it."""

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.scale = scale.reshape(-1)
        self.bias = bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return hidden [..., in] times the weight, in hidden's type."""
        rounded, scales = round_rows(hidden.reshape(-1, hidden.shape[-1]))
        whole = torch.nn.functional.linear(rounded.to(torch.float32), self.weight.to(torch.float32))
        product = whole * scales * self.scale
        if self.bias is not None:
            product = product + self.bias.to(torch.float32)
        return product.to(hidden.dtype).reshape(*hidden.shape[:-1], -1)


def measure_form(request: CheckpointRequest, on_progress: Callable[[int, int], None]) -> Figures:
    """Compare the int8 folder that `request` has written with the bf16 form of the same source."""
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  (takes seconds)

    with tempfile.TemporaryDirectory(dir=request.folder.parent) as scratch:
        folder = Path(scratch)
        plain = dataclasses.replace(request, folder=folder, recipe=recipe_for("bf16"))
        build_checkpoint(plain, lambda _done, _total: None)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = resources.files("headrace.models.build").joinpath(_TEXT).read_text(encoding="utf-8")
        tokens = tokenizer(text, return_tensors="pt").input_ids[0]
        reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        rounded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        with safe_open(request.folder / "model.safetensors", framework="pt") as weights:
            install_rounded(rounded, rounded_tensors(weights))
        kl, top1, count = compare(reference, rounded, tokens, on_progress)
        sizes = [(f / "model.safetensors").stat().st_size for f in (request.folder, folder)]
    return Figures(round(kl, 5), round(top1, 4), count, sizes[0], sizes[1])


def rounded_tensors(weights: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401  (safetensors gives its handle no type)
    """Return the int8 weights and scales of an open checkpoint; what stayed plain is not read."""
    scales = [name for name in weights.keys() if name.endswith("_scale")]  # noqa: SIM118  (not a mapping)
    return {name: weights.get_tensor(name) for scale in scales for name in (scale.removesuffix("_scale"), scale)}


def install_rounded(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> int:
    """Put the int8 layers of a checkpoint in the place of a model's plain ones and return how many they are."""
    names = [name.removesuffix(".weight_scale") for name in tensors if name.endswith(".weight_scale")]
    for name in names:
        parent_name, _, leaf = name.rpartition(".")
        plain = model.get_submodule(name)
        bias = plain.bias if isinstance(plain.bias, torch.Tensor) else None
        layer = RoundedLinear(tensors[f"{name}.weight"], tensors[f"{name}.weight_scale"], bias)
        setattr(model.get_submodule(parent_name), leaf, layer)
    return len(names)


@torch.inference_mode()
def compare(
    reference: torch.nn.Module,
    other: torch.nn.Module,
    tokens: torch.Tensor,
    on_progress: Callable[[int, int], None],
) -> tuple[float, float, int]:
    """Return (mean KL(reference || other) in nats, share of equal top tokens, positions) over windows of the tokens."""
    kl_sum, agreeing, count = 0.0, 0, 0
    for first in range(0, len(tokens), _WINDOW):
        window = tokens[None, first : first + _WINDOW]
        expected, got = (model(input_ids=window).logits[0].to(torch.float32) for model in (reference, other))
        log_p, log_q = expected.log_softmax(-1), got.log_softmax(-1)
        kl_sum += float((log_p.exp() * (log_p - log_q)).sum())
        agreeing += int((log_p.argmax(-1) == log_q.argmax(-1)).sum())
        count += window.shape[1]
        on_progress(count, len(tokens))
    return kl_sum / count, agreeing / count, count
