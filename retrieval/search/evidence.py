"""What a question's hits say about whether the documents answer it. Pure.

`support` is calibrated on questions whose answer is known to be there or not (docs/retrieval.md): at 0.5, about half of
such questions have a passage that answers them. The figures hold for one embedder: another one's cosines lie elsewhere.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from headrace.contracts.retrieval import Hit
from headrace.retrieval.collection.lexical import words_of

SUPPORTED: Final = 0.5
_LOOKED_AT: Final = 10
_COVERING: Final = 3
# Words are compared by their beginnings: near enough to a stemmer for counting.
_STEM: Final = 5
_WORD: Final = re.compile(r"[^\W_]+")


class Evidence(msgspec.Struct, frozen=True):
    """All 0..1 but `over`. support: how likely the question is answered, 0 where nothing was found.

    top: the best score. gap: how far it is above the next. coverage: the largest share of the question's words that one
    of the first passages holds. agreement: share of the first ten that were found by their words and by their vectors.
    over: how many hits have a score of at least 0.5.
    """

    support: float = 0.0
    top: float = 0.0
    gap: float = 0.0
    coverage: float = 0.0
    agreement: float = 0.0
    over: int = 0


def evidence(hits: Sequence[Hit], query: str) -> Evidence:
    """Weigh the hits of one question, best first."""
    looked = hits[:_LOOKED_AT]
    if not looked:
        return Evidence()
    covered = max(coverage(query, _text(hit)) for hit in looked[:_COVERING])
    cosines = [hit.stages["dense"] for hit in looked if "dense" in hit.stages]
    top = looked[0].score
    return Evidence(
        support=support(max(cosines), covered) if cosines else by_words(covered),
        top=top,
        gap=top - looked[1].score if len(looked) > 1 else top,
        coverage=covered,
        agreement=sum("lexical" in hit.stages and "dense" in hit.stages for hit in looked) / len(looked),
        over=sum(hit.score >= SUPPORTED for hit in looked),
    )


def support(cosine: float, covered: float) -> float:
    """Return how likely the question is answered, from the best cosine and the coverage of its words."""
    return squash(14.9 * cosine + 2.55 * covered - 9.67)


def relevance(cosine: float, covered: float) -> float:
    """Return how likely a passage answers, from its cosine and its coverage of the question's words.

    Neither depends on what else the collection holds, so the same passage scores alike among three and among a million.
    Fitted on the first ten of half of three sets' questions; docs/retrieval.md has the figures of the other half.
    """
    return squash(9.98 * cosine + 4.6 * covered - 8.86)


def squash(log_odds: float) -> float:
    """Return the probability of these log-odds."""
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))


def coverage(query: str, text: str) -> float:
    """Return the share of a query's words, without the commonest, that stand in a text."""
    wanted = {word[:_STEM] for word in words_of(query)}
    held = {word[:_STEM] for word in _WORD.findall(text.lower())}
    return len(wanted & held) / len(wanted) if wanted else 0.0


def by_words(covered: float) -> float:
    """Nothing was embedded: words alone tell far less."""
    return squash(6.8 * covered - 3.68)


def _text(hit: Hit) -> str:
    return f"{hit.passage.heading} {hit.passage.text}"
