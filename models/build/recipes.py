"""Recipes: how the reference weights become a served form, as ordered steps over one tensor at a time.

A step is a pure function from one named tensor to the tensors that stand for it, with a promise of their shapes, so
that a file's header is known before any weight is read. A recipe is data: its steps and what config.json says of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch

from headrace.contracts.errors import StoreError
from headrace.kernels.int8_rounding import round_rows
from headrace.models.build.architectures import is_linear
from headrace.models.build.safetensors_writer import TensorSpec

Form = Literal["bf16", "int8"]
NamedTensors = list[tuple[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Step:
    """One pure step. `promise` says for a tensor's spec what `apply` will give for the tensor."""

    name: str
    promise: Callable[[TensorSpec], list[TensorSpec]]
    apply: Callable[[str, torch.Tensor], NamedTensors]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Ordered steps and the `quantization_config` that tells an engine how to read the result (None: plain)."""

    form: Form
    steps: tuple[Step, ...]
    quantization: Mapping[str, Any] | None

    def promise(self, spec: TensorSpec) -> list[TensorSpec]:
        """Return the specs that stand in the file for one reference tensor."""
        specs = [spec]
        for step in self.steps:
            specs = [out for each in specs for out in step.promise(each)]
        return specs

    def apply(self, name: str, tensor: torch.Tensor) -> NamedTensors:
        """Run the steps over one reference tensor."""
        tensors: NamedTensors = [(name, tensor)]
        for step in self.steps:
            tensors = [out for each, value in tensors for out in step.apply(each, value)]
        return tensors


def recipe_for(form: str) -> Recipe:
    """Return the recipe of a form; StoreError names the known ones."""
    for recipe in RECIPES:
        if recipe.form == form:
            return recipe
    raise StoreError(f"no recipe makes the form {form!r}; known: {', '.join(r.form for r in RECIPES)}")


def _promise_bf16(spec: TensorSpec) -> list[TensorSpec]:
    return [TensorSpec(spec.name, torch.bfloat16, spec.shape)]


def _to_bf16(name: str, tensor: torch.Tensor) -> NamedTensors:
    return [(name, tensor.to(torch.bfloat16))]


def _promise_int8(spec: TensorSpec) -> list[TensorSpec]:
    if not is_linear(spec.name):
        return [spec]
    return [
        TensorSpec(spec.name, torch.int8, spec.shape),
        TensorSpec(f"{spec.name}_scale", torch.float32, (spec.shape[0], 1)),
    ]


def _to_int8(name: str, tensor: torch.Tensor) -> NamedTensors:
    if not is_linear(name):
        return [(name, tensor)]
    rounded, scales = round_rows(tensor)
    return [(name, rounded), (f"{name}_scale", scales)]


_BF16: Final = Step("bf16", _promise_bf16, _to_bf16)
_INT8: Final = Step("int8", _promise_int8, _to_int8)
_INT8_QUANTIZATION: Final[Mapping[str, Any]] = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {
                "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False,
            },
            "input_activations": {
                "num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True,
            },
        }
    },
    "ignore": ["lm_head"],
}  # fmt: skip

RECIPES: Final[Sequence[Recipe]] = (
    Recipe("bf16", (_BF16,), None),
    Recipe("int8", (_BF16, _INT8), _INT8_QUANTIZATION),
)
