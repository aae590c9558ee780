"""How fast backends answered of late, and how long the line before them is: what a deadline is judged by. In memory."""

from collections.abc import Callable, Iterable
from typing import Final

from headrace.contracts.policy import Latency, Policy
from headrace.contracts.routing import Attempt, Load

WEIGHT: Final = 0.1
"""What the newest answer counts for against all before it: the last 20 make up 88% of a mean."""
LEAST_SPREAD: Final = 16.0
"""Standard deviation of the prompts, in tokens, under which they are too much alike to tell what a token takes."""
_ANSWERED: Final = frozenset({"committed", "rejected", "broken", "outvoted", "consulted", "searched"})


class _Mean:
    """An exponentially weighted mean that begins with its first value."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, value: float) -> None:
        self.value = value if self.value is None else self.value + WEIGHT * (value - self.value)


class Rate:
    """One backend. Time to the first token is a line over prompt tokens, fitted with the same weights as the means."""

    __slots__ = ("_product", "_prompt", "_square", "answer", "first", "token")

    def __init__(self) -> None:
        self.first, self.token, self.answer = _Mean(), _Mean(), _Mean()
        self._prompt, self._square, self._product = _Mean(), _Mean(), _Mean()

    def add(self, attempt: Attempt, *, is_stream: bool) -> None:
        """Learn from an attempt that brought tokens; a whole answer tells nothing of its first token."""
        if attempt.ttft_s is None or not attempt.completion_tokens:
            return
        placed_s = attempt.started_s + attempt.queued_s
        first_s = max(0.0, attempt.ttft_s - placed_s)
        if is_stream:
            self.first.add(first_s)
            self._prompt.add(attempt.prompt_tokens)
            self._square.add(attempt.prompt_tokens**2)
            self._product.add(attempt.prompt_tokens * first_s)
        else:
            base_s, prefill_s = self.line()
            first_s = (base_s or 0.0) + prefill_s * attempt.prompt_tokens
        if attempt.completion_tokens > 1 or not is_stream:
            later_s = max(0.0, attempt.ended_s - placed_s - first_s)
            self.token.add(later_s / max(1, attempt.completion_tokens - is_stream))
        if attempt.outcome in {"committed", "outvoted"}:
            self.answer.add(attempt.completion_tokens)

    def line(self) -> tuple[float | None, float]:
        """Return the seconds to the first token without a prompt, None if unmeasured, and for each prompt token."""
        first, prompt, square, product = self.first.value, self._prompt.value, self._square.value, self._product.value
        if first is None or prompt is None or square is None or product is None:
            return None, 0.0
        variance = square - prompt**2
        if variance < LEAST_SPREAD**2:
            return first, 0.0
        slope = max(0.0, (product - prompt * first) / variance)
        if slope * prompt > first:  # no answer begins before it is asked for
            return 0.0, first / prompt
        return first - slope * prompt, slope


class Rates:
    """The rates of every backend that has answered. wait_s(tier): until a place on it is free. For one event loop."""

    def __init__(self, wait_s: Callable[[str], float]) -> None:
        self._wait_s = wait_s
        self._rates: dict[str, Rate] = {}

    def learn(self, attempts: Iterable[Attempt], *, is_stream: bool) -> None:
        """Learn from the attempts of a finished request."""
        for attempt in attempts:
            if attempt.outcome in _ANSWERED:
                self._rates.setdefault(attempt.backend, Rate()).add(attempt, is_stream=is_stream)

    def load(self, tier: str, backend: str) -> Load:
        """Return what is known of a backend on a tier now."""
        rate = self._rates.get(backend)
        wait_s = self._wait_s(tier)
        if rate is None:
            return Load(wait_s)
        first_s, prefill_s = rate.line()
        return Load(wait_s, first_s, prefill_s, rate.token.value, rate.answer.value or 0.0)

    def reshape(self, policy: Policy) -> None:
        """Forget the backends that a new policy no longer has."""
        self._rates = {backend: rate for backend, rate in self._rates.items() if backend in policy.cards}


def are_wanted(policy: Policy) -> bool:
    """Tell whether any rule asks for rates; where none does, nothing is measured."""
    return any(isinstance(rule.use, Latency) for model in policy.virtual_models.values() for rule in model.select)
