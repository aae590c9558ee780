"""What a request is expected to cost, in whole micro-USD. The planner and the cascade's budget count alike."""

from collections.abc import Sequence
from typing import Final

from headrace.contracts.chat import ChatCall
from headrace.contracts.models import ModelCard
from headrace.contracts.routing import Target

EXPECTED_COMPLETION_TOKENS: Final = 256


def attempt_cost(card: ModelCard, call: ChatCall, prompt_tokens: int) -> int:
    """Return the expected cost of one answer: the prompt, and each of n answers of 256 tokens or the client's bound."""
    completion = EXPECTED_COMPLETION_TOKENS if call.max_tokens is None else call.max_tokens
    return card.price.cost_microusd(prompt_tokens, call.n * min(completion, EXPECTED_COMPLETION_TOKENS))


def expected_cost(targets: Sequence[Target], call: ChatCall, prompt_tokens: int, difficulty: float) -> int:
    """Return the expected cost of a chain: a judged target hands over with the probability that it is too weak."""
    total, reached = 0.0, 1.0
    for target in targets:
        total += reached * attempt_cost(target.card, call, prompt_tokens)
        reached *= difficulty if target.judged else 0.0
    return round(total)
