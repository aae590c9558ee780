"""How well an index finds what was judged relevant: each system's figures over a dataset's questions.

A system is a query that the serving search is asked; nothing here ranks anything.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from headrace.contracts.retrieval import Index, Query
from headrace.retrieval.search.beir import Dataset, Record
from headrace.retrieval.search.corpus import Corpus
from headrace.retrieval.search.metrics import RECALL_CUT, Interval, Scores, interval, judge
from headrace.retrieval.search.search import Searcher

System = Literal["lexical", "dense", "hybrid", "hybrid+rerank"]
Metric = Literal["ndcg", "recall", "mrr"]
SYSTEMS: Final[Mapping[System, Query]] = {
    "lexical": Query("", mode="lexical"),
    "dense": Query("", mode="dense"),
    "hybrid": Query("", rerank=False),
    "hybrid+rerank": Query("", rerank=True),
}
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One system's scores by question id, and how long it took on average."""

    scores: Mapping[str, Scores]
    ms_per_query: float

    def values(self, metric: Metric) -> list[float]:
        """Return one figure of every question."""
        return [getattr(scores, metric) for scores in self.scores.values()]

    def interval(self, metric: Metric) -> Interval:
        """Return the mean of a figure and its 95% interval."""
        return interval(self.values(metric))


@dataclass(frozen=True, slots=True)
class Trial:
    """A dataset, the index that its corpus was put in, and what searches it."""

    dataset: Dataset
    corpus: Corpus
    index: Index
    searcher: Searcher


async def evaluate(
    trial: Trial, systems: Sequence[System], tell: Tell, *, clock: Callable[[], float] = time.perf_counter
) -> dict[System, Outcome]:
    """Ask every question of every system, one after the other; `tell` is given questions done and in all."""
    dataset, corpus = trial.dataset, trial.corpus
    total, done = len(systems) * len(dataset.queries), 0
    # Long passages are found by their pieces: more of those make up the same number of passages.
    k = RECALL_CUT * -(-corpus.pieces // max(1, len(dataset.corpus)))
    outcomes: dict[System, Outcome] = {}
    for system in systems:
        scores: dict[str, Scores] = {}
        seconds = 0.0
        for question in dataset.queries:
            query = msgspec.structs.replace(SYSTEMS[system], text=question.text, k=k)
            started = clock()
            hits = await trial.searcher.search(trial.index, query)
            seconds += clock() - started
            scores[question.id] = judge(corpus.ranking(hits, RECALL_CUT), dataset.judged[question.id])
            done += 1
            tell(done, total)
        outcomes[system] = Outcome(scores, 1000 * seconds / len(scores))
    return outcomes


def drawn(dataset: Dataset, most: int | None) -> Dataset:
    """Return the dataset with at most so many questions, the same ones each time."""
    if most is None or most >= len(dataset.queries):
        return dataset
    chosen = {query.id for query in sorted(dataset.queries, key=_lot)[:most]}
    return Dataset(dataset.corpus, [query for query in dataset.queries if query.id in chosen], dataset.judged)


def is_for_choosing(question: str) -> bool:
    """Tell whether a question, by its id, is of the half that choices are made on; the other half reports them."""
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 0


def _lot(query: Record) -> bytes:
    return hashlib.sha256(query.id.encode()).digest()
