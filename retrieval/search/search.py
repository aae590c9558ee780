"""One question in one index: words and vectors side by side, fused, reranked, without near-copies and weak hits.

A hit's score is about the share of passages with that score that answer their question: 0.5 is an even chance. It is
made of the passage's cosine and of the question's words it holds (of what the mode of the query looks at), never less
than that of a hit after it: it does not change the order that fusion and reranking found. Stages: `lexical` is BM25,
`dense` the cosine, `hybrid` the deviations a passage stands out by, `rerank` the cross-encoder's probability.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from headrace.contracts.retrieval import Hit, Index, Passage, Query, SearchMode
from headrace.retrieval.search.evidence import by_words, coverage, relevance, squash
from headrace.retrieval.search.fuse import DEPTH, Ranking, standings
from headrace.retrieval.search.near_copies import without_copies

Embed = Callable[[str], Awaitable[bytes]]

# Passages that are read beyond those asked for, in case some are near-copies.
_SPARE: Final = 10


class Reranker(Protocol):
    """Reads question and passage together. Blocking and safe to share between threads."""

    def score(self, query: str, passages: Sequence[str], *, deadline: float) -> list[float]:
        """Return the log-odds that each passage answers, of the first ones that are done by then (monotonic s)."""
        ...


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How indexes are searched.

    depth: candidates of each list. rerank: what a query that does not say gets. rerank_top: passages that the
    cross-encoder reads; rerank_weight: of its opinion beside the fusion's; rerank_within_s: after the question came,
    what it has not read by then keeps its place. are_distinct: leave near-copies out.
    """

    depth: int = DEPTH
    rerank: bool = False
    rerank_top: int = 10
    rerank_weight: float = 1.0
    rerank_within_s: float = 2.0
    are_distinct: bool = True


@dataclass(slots=True)
class _Found:
    """One question's candidates. ranked: ids of passages, best first; stages: their scores."""

    ranked: list[int]
    stages: dict[str, Mapping[int, float]]


class Searcher:
    """Searches indexes. Safe to share between tasks. embed: the vector of a question, as the index has them."""

    def __init__(
        self,
        embed: Embed,
        *,
        reranker: Reranker | None = None,
        settings: SearchSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embed = embed
        self._reranker = reranker
        self._settings = settings or SearchSettings()
        self._clock = clock

    async def search(self, index: Index, query: Query) -> list[Hit]:
        """Return the best passages for a query, best first; errors of the index and of embedding come through."""
        deadline = self._clock() + self._settings.rerank_within_s
        lexical, dense = await asyncio.gather(self._lexical(index, query), self._dense(index, query))
        return await asyncio.to_thread(self._choose, index, query, lexical, dense, deadline)

    async def _lexical(self, index: Index, query: Query) -> Ranking:
        if query.mode == "dense":
            return []
        return await asyncio.to_thread(index.lexical, query.text, self._depth(query), query.where)

    async def _dense(self, index: Index, query: Query) -> Ranking:
        if query.mode == "lexical":
            return []
        vector = await self._embed(query.text)
        return await asyncio.to_thread(index.dense, vector, self._depth(query), query.where)

    def _depth(self, query: Query) -> int:
        return max(self._settings.depth, query.k + _SPARE)

    def _choose(self, index: Index, query: Query, lexical: Ranking, dense: Ranking, deadline: float) -> list[Hit]:
        """Blocking: fuse, read the passages, rerank, leave out."""
        found = fused(query.mode, lexical, dense, self._depth(query))
        is_wanted = self._settings.rerank if query.rerank is None else query.rerank
        reranker = self._reranker if is_wanted and query.mode == "hybrid" else None
        read = max(query.k + _SPARE, 0 if reranker is None else self._settings.rerank_top)
        passages = {passage.id: passage for passage in index.passages(found.ranked[:read])}
        found.ranked = [id_ for id_ in found.ranked[:read] if id_ in passages]
        if reranker is not None:
            self._rerank(reranker, query.text, found, passages, deadline)
        scores = scored(query, [passages[id_] for id_ in found.ranked], found.stages)
        hits = [_hit(passages[id_], score, found.stages) for id_, score in zip(found.ranked, scores, strict=True)]
        hits = [hit for hit in hits if hit.score >= query.min_score]
        return (without_copies(hits) if self._settings.are_distinct else hits)[: query.k]

    def _rerank(
        self, reranker: Reranker, text: str, found: _Found, passages: Mapping[int, Passage], deadline: float
    ) -> None:
        """Put the passages that the cross-encoder has read in a new order."""
        top = found.ranked[: self._settings.rerank_top]
        opinions = reranker.score(text, [_readable(passages[id_]) for id_ in top], deadline=deadline)
        read = top[: len(opinions)]
        order = blended([found.stages["hybrid"][id_] for id_ in read], opinions, self._settings.rerank_weight)
        found.stages["rerank"] = {id_: squash(opinion) for id_, opinion in zip(read, opinions, strict=True)}
        found.ranked[: len(read)] = [read[chosen] for chosen in order]


def fused(mode: SearchMode, lexical: Ranking, dense: Ranking, depth: int) -> _Found:
    """Return a question's candidates in the order of their fusion, or of the only list there is."""
    stages: dict[str, Mapping[int, float]] = {"lexical": dict(lexical), "dense": dict(dense)}
    ranking = lexical if mode == "lexical" else dense
    if mode == "hybrid":
        ranking = standings(lexical, dense, depth=depth)
        stages["hybrid"] = dict(ranking)
    return _Found([id_ for id_, _ in ranking[:depth]], stages)


def scored(query: Query, passages: Sequence[Passage], stages: Mapping[str, Mapping[int, float]]) -> list[float]:
    """Return the scores of passages in their order; one that the vectors did not find has the least cosine they did."""
    cosines = stages["dense"]
    least = min(cosines.values(), default=0.0)
    scores = []
    for passage in passages:
        covered = coverage(query.text, _readable(passage)) if query.mode != "dense" else 0.0
        cosine = cosines.get(passage.id, least)
        if query.mode == "dense":
            scores.append(min(1.0, max(0.0, cosine)))
        else:
            scores.append(by_words(covered) if query.mode == "lexical" else relevance(cosine, covered))
    return [*accumulate(reversed(scores), max)][::-1]


def blended(standing: Sequence[float], opinions: Sequence[float], weight: float) -> list[int]:
    """Return the places of the passages in their new order: both opinions as z-scores, the second one weighted."""
    first, second = _scaled(standing), _scaled(opinions)
    return sorted(range(len(first)), key=lambda place: -(first[place] + weight * second[place]))


def _scaled(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / max(1, len(values))
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(1, len(values)))
    return [(value - mean) / deviation if deviation else 0.0 for value in values]


def _readable(passage: Passage) -> str:
    return f"{passage.heading} {passage.text}" if passage.heading else passage.text


def _hit(passage: Passage, score: float, stages: Mapping[str, Mapping[int, float]]) -> Hit:
    return Hit(passage, score, {name: scores[passage.id] for name, scores in stages.items() if passage.id in scores})
