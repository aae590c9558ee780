"""Whether documents are likely to help with a question, before they are searched in earnest. Pure.

The probe is one search by words alone. Its coverage, the share of the question's words that one passage holds, tells
whether the documents speak of it; the difficulty model tells whether a small model would know it anyway.
"""

from collections.abc import Sequence
from typing import Final

from headrace.contracts.retrieval import Hit
from headrace.contracts.routing import Difficulty
from headrace.gateway.grounding.overlap import coverage, words

PROBE_HITS: Final = 3
SPOKEN_OF: Final = 0.75  # covered this far, the documents speak of the question, however easy it is
TOUCHED: Final = 0.5  # covered this far, they may help where the question is not surely easy
NOT_EASY: Final = 0.3
LEAST_WORDS: Final = 2  # with fewer words that carry meaning, coverage tells nothing: small talk


def probed(hits: Sequence[Hit], question: str) -> float:
    """Return the coverage of the question by the best of the probe's passages, 0..1."""
    wanted = words(question)
    if len(wanted) < LEAST_WORDS:
        return 0.0
    return max((coverage(wanted, words(f"{hit.passage.heading} {hit.passage.text}")) for hit in hits), default=0.0)


def may_help(difficulty: Difficulty, covered: float) -> bool:
    """Tell whether to search: the documents speak of it, or touch it and the question is hard or strange."""
    is_easy = difficulty.value < NOT_EASY and not difficulty.unfamiliar
    return covered >= (SPOKEN_OF if is_easy else TOUCHED)
