"""What `headrace_int8` and `headrace_int4` mean where our kernels must not or cannot serve: experts as they come."""

from typing import Any, Final

import torch
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization import register_quantization_config
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase

NAMES: Final = ("headrace_int8", "headrace_int4")


class Unquantized(QuantizationConfig):  # type: ignore[misc]
    """Quantizes nothing."""

    name = ""

    def get_name(self) -> str:
        """Return the word of the command line."""
        return self.name

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """Return the types that activations may have."""
        return [torch.bfloat16, torch.float16, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        """Return the least CUDA capability: any."""
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        """Return no file: nothing is read from the checkpoint."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """Return the config, whatever the checkpoint says."""
        del config
        return cls()

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """Return vLLM's unquantized method for a product, and leave the rest to vLLM."""
        del prefix
        return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None


def register_all() -> str:
    """Register both names with vLLM; a second time changes nothing."""
    for name in NAMES:
        register_quantization_config(name)(type("Unquantized", (Unquantized,), {"name": name}))
    return f"{', '.join(NAMES)} leave experts as they come"
