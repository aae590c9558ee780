"""What a model can do and what it costs."""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

Capability = Literal["stream", "logprobs", "tools", "json_schema", "embeddings"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, which is micro-USD per token."""

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    _whole: tuple[int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = (self.input_usd_per_mtok, self.output_usd_per_mtok)
        prices = [
            Fraction(price) if price.is_finite() else Fraction(0) for price in given
        ]  # validation refuses the rest
        unit = math.lcm(*(price.denominator for price in prices))
        object.__setattr__(self, "_whole", (*(int(price * unit) for price in prices), unit))

    def cost_microusd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the cost of one attempt in whole micro-USD, rounded half up."""
        of_input, of_output, unit = self._whole
        return (2 * (prompt_tokens * of_input + completion_tokens * of_output) + unit) // (2 * unit)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The router's view of one served model. `id` is the catalogue id, or the configured name of a URL backend.

    upstream: what the model is called behind those URLs, empty for a catalogue id.
    """

    id: str
    context_tokens: int
    capabilities: frozenset[Capability]
    price: Price
    family: str = ""
    parameters: int = 0
    license: str = ""
    upstream: str = ""
