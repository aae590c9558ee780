"""What a model can do and what it costs."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

Capability = Literal["stream", "logprobs", "tools", "json_schema", "embeddings"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, which is micro-USD per token."""

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal

    def cost_microusd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the cost of one attempt in whole micro-USD, rounded half up."""
        exact = prompt_tokens * self.input_usd_per_mtok + completion_tokens * self.output_usd_per_mtok
        return int(exact.to_integral_value(rounding=ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The router's view of one served model. `id` is the catalogue id, or the configured name of a URL backend."""

    id: str
    context_tokens: int
    capabilities: frozenset[Capability]
    price: Price
    family: str = ""
    parameters: int = 0
    license: str = ""
