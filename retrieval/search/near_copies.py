"""Leaves out passages that say what a better one has said already: the same words but for a few. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from headrace.contracts.retrieval import Hit

ALIKE: Final = 0.9
_WORD: Final = re.compile(r"\w+")


def without_copies(hits: Iterable[Hit]) -> list[Hit]:
    """Return the hits, in their order, that are no near-copy of one before."""
    kept: list[Hit] = []
    seen: list[frozenset[str]] = []
    for hit in hits:
        words = frozenset(_WORD.findall(hit.passage.text.lower()))
        if not _is_like_one(words, seen):
            kept.append(hit)
            seen.append(words)
    return kept


def _is_like_one(words: frozenset[str], seen: Sequence[frozenset[str]]) -> bool:
    """Jaccard similarity of the sets of words; sets of too different a size are not looked at."""
    size = len(words)
    for other in seen:
        fewer, more = sorted((size, len(other)))
        if fewer < ALIKE * more:
            continue
        shared = len(words & other)
        if shared >= ALIKE * (size + len(other) - shared):
            return True
    return False
