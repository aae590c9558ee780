"""Whether documents are likely to help with a question, before they are searched in earnest. Pure.

The probe is one search by words alone. Its coverage, the share of the question's words that one passage holds, tells
whether the documents speak of it; the difficulty model tells whether a small model would know it anyway.
"""

from collections.abc import Sequence
from typing import Final

from headrace.contracts.retrieval import Hit
from headrace.contracts.routing import Difficulty
from headrace.gateway.grounding.overlap import words
from headrace.retrieval.search.evidence import evidence

PROBE_HITS: Final = 3
SPOKEN_OF: Final = 0.6  # covered this far, the documents speak of the question, however easy it is
TOUCHED: Final = 0.5  # covered this far, they may help where the question is not surely easy
NOT_EASY: Final = 0.3
LEAST_WORDS: Final = 2  # with fewer words that carry meaning, coverage tells nothing: small talk


def may_help(question: str, hits: Sequence[Hit], difficulty: Difficulty) -> bool:
    """Tell whether to search: the documents speak of it, or touch it and the question is hard or strange.

    hits: of the probe. Thresholds are documented in docs/retrieval.md.
    """
    if len(words(question)) < LEAST_WORDS:
        return False
    is_easy = difficulty.value < NOT_EASY and not difficulty.unfamiliar
    return evidence(hits, question).coverage >= (SPOKEN_OF if is_easy else TOUCHED)
