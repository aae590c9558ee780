"""Which way of putting two rankings together finds best, and whether reranking and the evidence are worth having.

`make bench NAME=retrieval_quality`, on every folder of BEIR's form in a folder (default: the open sets). The lists come
from a collection's index, as serving has them. Each set's questions are halved by the hash of their ids: choices were
made on `dev`, `test` reports them. Questions also come in worse forms: keywords only, words left out, letters swapped.
Support is tried on questions that a set marks as unanswerable, and on those of the other sets.
"""

import argparse
import csv
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.overhead import host
from headrace.cli.rag import EMBEDDER, Tools, telling
from headrace.contracts.retrieval import Hit, Index
from headrace.models.store.store import Store
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.lexical import words_of
from headrace.retrieval.collection.open import IndexOptions, open_index
from headrace.retrieval.embed.identity import embedder_id
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.search import beir
from headrace.retrieval.search.corpus import Corpus, Filler, place_of
from headrace.retrieval.search.evaluate import METRICS, drawn, is_for_choosing
from headrace.retrieval.search.evidence import evidence
from headrace.retrieval.search.fuse import Ranking, standings
from headrace.retrieval.search.metrics import RECALL_CUT, Scores, interval, judge
from headrace.retrieval.search.questions import fitted
from headrace.retrieval.search.search import blended, fused

RESULT: Final = Path(__file__).parent / "results" / "retrieval_quality.csv"
OPEN_SETS: Final = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
HEAD: Final = (
    "date", "commit", "device", "versions", "set", "questions", "split", "search", "figure", "n", "value", "low95",
    "high95",
)  # fmt: skip
PLAIN: Final = "as asked"
DEPTH: Final = 1_000
MOST: Final = 300  # questions of a set that are asked as they are
WORSE: Final = 100  # and in each of the worse forms
RERANKED: Final = 50  # and read by the cross-encoder
STRANGERS: Final = 100  # and put to another set
SUPPORT_FROM: Final = 10
RERANK_TOPS: Final = (10, 20)

Fuse = Callable[[Ranking, Ranking], Ranking]
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """What both searches found for one question."""

    question: str
    text: str
    lexical: Ranking
    dense: Ranking


def reciprocal(lexical: Ranking, dense: Ranking, *, k: int, weight: float = 1.0) -> Ranking:
    """Fuse by reciprocal ranks; weight: of the dense list."""
    scores: dict[int, float] = {}
    for ranking, share in ((lexical, 1.0), (dense, weight)):
        for rank, (id_, _) in enumerate(ranking, 1):
            scores[id_] = scores.get(id_, 0.0) + share / (k + rank)
    return _sorted(scores)


def convex(
    lexical: Ranking, dense: Ranking, *, dense_weight: float, least: tuple[float | None, float | None]
) -> Ranking:
    """Fuse scores scaled to 0..1 from the least there is in the list, or can be."""
    by_words, by_vectors = _scaled(lexical, least[0]), _scaled(dense, least[1])
    return _sorted(
        {
            id_: (1 - dense_weight) * by_words.get(id_, 0.0) + dense_weight * by_vectors.get(id_, 0.0)
            for id_ in by_words.keys() | by_vectors.keys()
        }
    )


CONTROLS: Final[Mapping[str, Fuse]] = {
    "lexical": lambda lexical, _: lexical,
    "dense": lambda _, dense: dense,
    "reciprocal ranks, k 60": lambda lexical, dense: reciprocal(lexical, dense, k=60),
    "reciprocal ranks, k 10": lambda lexical, dense: reciprocal(lexical, dense, k=10),
    "reciprocal ranks, k 10, dense twice": lambda lexical, dense: reciprocal(lexical, dense, k=10, weight=2.0),
    "convex, min-max": lambda lexical, dense: convex(lexical, dense, dense_weight=0.5, least=(None, None)),
    "convex, min-max, dense 0.7": lambda lexical, dense: convex(lexical, dense, dense_weight=0.7, least=(None, None)),
    "convex, theoretical minimum": lambda lexical, dense: convex(lexical, dense, dense_weight=0.5, least=(0.0, -1.0)),
    "convex, from 0, dense 0.6": lambda lexical, dense: convex(lexical, dense, dense_weight=0.6, least=(0.0, 0.0)),
    "standings, 100 deep": lambda lexical, dense: standings(lexical, dense, depth=100),
    "standings, 200 deep": lambda lexical, dense: standings(lexical, dense, depth=200),
    "standings (shipped, 500 deep)": standings,
    "standings, 1000 deep": lambda lexical, dense: standings(lexical, dense, depth=1000),
    "standings, dense 0.6": lambda lexical, dense: standings(lexical, dense, dense_weight=0.6),
}


def plain(text: str, _: random.Random) -> str:
    """Return the question as it is."""
    return text


def keywords(text: str, _: random.Random) -> str:
    """Return the question without its commonest words."""
    return " ".join(words_of(text))


def fewer(text: str, lots: random.Random) -> str:
    """Return the keywords less two in five."""
    words = words_of(text)
    return " ".join([word for word in words if lots.random() < 0.6] or words[:1])  # noqa: PLR2004  (see above)


def swapped(text: str, lots: random.Random) -> str:
    """Return the question with two letters swapped in a third of its longer words."""
    words = []
    for word in text.split():
        at = lots.randrange(len(word) - 1) if len(word) > 3 and lots.random() < 1 / 3 else None  # noqa: PLR2004
        words.append(word if at is None else word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return " ".join(words)


FORMS: Final[Mapping[str, Callable[[str, random.Random], str]]] = {
    PLAIN: plain,
    "keywords": keywords,
    "words left out": fewer,
    "letters swapped": swapped,
}


class Bench:
    """One set: its index, and what both searches find there."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        self.name = folder.name
        self.dataset = drawn(beir.read(folder), MOST)
        self.corpus = Corpus(self.dataset.corpus)
        self.unanswerable = _unanswerable(folder)
        self._owners: dict[int, str] = {}
        self._model, self._tokenizer = EmbeddingModel(tools.folder, threads=1), Tokens.load(tools.folder)
        identity = embedder_id(tools.embedder, tools.folder)
        place = place_of(tools.home, self.corpus, identity)
        self.index: Index = open_index(place, identity, create=True, options=IndexOptions(kind="flat"))
        filler = Filler(self._model, self._tokenizer, threads=len(os.sched_getaffinity(0)))
        with telling() as tell:
            filler.fill(self.index, self.corpus, lambda done, total: tell(self.name, done, total))

    def lists(self, question: beir.Record, form: str = PLAIN) -> Lists:
        """Return what both searches find for a question in one of its forms."""
        text = FORMS[form](question.text, random.Random(question.id))  # noqa: S311  (a draw that can be repeated)
        (vector,) = self._model.embed(self._model.tokenize([fitted(text, self._tokenizer)]))
        return Lists(question.id, text, self.index.lexical(text, DEPTH), self.index.dense(vector, DEPTH))

    def judge(self, found: Lists, ranking: Ranking) -> Scores:
        """Score a ranking of pieces as one of passages."""
        top = [id_ for id_, _ in ranking[: 3 * RECALL_CUT]]
        for passage in self.index.passages([id_ for id_ in top if id_ not in self._owners]):
            self._owners[passage.id] = self.corpus.ranking([Hit(passage, 0.0)], 1)[0]
        passages = list(dict.fromkeys(self._owners[id_] for id_ in top))
        return judge(passages[:RECALL_CUT], self.dataset.judged[found.question])

    def support(self, found: Lists) -> float:
        """Return the evidence's support for a question."""
        searched = fused("hybrid", found.lexical, found.dense, DEPTH)
        hits = [
            Hit(passage, 0.0, {"dense": searched.stages["dense"].get(passage.id, 0.0)})
            for passage in self.index.passages(searched.ranked[:SUPPORT_FROM])
        ]
        return evidence(hits, found.text).support


def fusions(bench: Bench) -> Iterator[Row]:
    """Yield the figures of every control, in every form of the questions, on both halves."""
    for form in FORMS:
        asked = drawn(bench.dataset, MOST if form == PLAIN else WORSE).queries
        found = [bench.lists(question, form) for question in asked]
        for name, fuse in CONTROLS.items():
            scores = {lists.question: bench.judge(lists, fuse(lists.lexical, lists.dense)) for lists in found}
            yield from _figures(bench.name, form, name, scores)


def reranking(bench: Bench, tools: Tools) -> Iterator[Row]:
    """Yield the figures of the cross-encoder by how many passages it reads, on some of the questions."""
    if tools.reranker is None:
        return
    scores: dict[str, dict[str, Scores]] = {}
    seconds = 0.0
    for question in drawn(bench.dataset, RERANKED).queries:
        found = bench.lists(question)
        ranking = standings(found.lexical, found.dense)
        scores.setdefault("not reranked", {})[question.id] = bench.judge(found, ranking)
        top = [id_ for id_, _ in ranking[: max(RERANK_TOPS)]]
        texts = [f"{passage.heading} {passage.text}".strip() for passage in bench.index.passages(top)]
        started = time.perf_counter()
        opinions = tools.reranker.score(question.text, texts, deadline=math.inf)
        seconds += time.perf_counter() - started
        for most in RERANK_TOPS:
            for weight, name in ((1.0, "blended"), (1e9, "alone")):
                order = blended([z for _, z in ranking[:most]], opinions[:most], weight)
                moved = [ranking[place] for place in order] + list(ranking[most:])
                scores.setdefault(f"cross-encoder {name}, top {most}", {})[question.id] = bench.judge(found, moved)
    for name, by_question in scores.items():
        yield from _figures(bench.name, f"{RERANKED} drawn", name, by_question)
    pairs = max(RERANK_TOPS) * len(scores["not reranked"])
    yield (
        bench.name,
        f"{RERANKED} drawn",
        "all",
        "cross-encoder",
        "ms_per_pair",
        pairs,
        1000 * seconds / pairs,
        "",
        "",
    )


def supports(benches: Sequence[Bench]) -> Iterator[Row]:
    """Yield how well support tells answered questions from unanswerable ones and from those of other sets."""
    for bench in benches:
        others = [
            record for other in benches if other is not bench for record in drawn(other.dataset, STRANGERS).queries
        ]
        asked = {
            "answered": bench.dataset.queries, "unanswerable": bench.unanswerable, "of other sets": others,
        }  # fmt: skip
        found = {
            kind: {record.id: bench.support(bench.lists(record)) for record in records}
            for kind, records in asked.items()
        }
        for split in ("dev", "test"):
            halves = {kind: [s for id_, s in each.items() if _split(id_) == split] for kind, each in found.items()}
            for kind, values in halves.items():
                if values:
                    over = interval([float(value >= 0.5) for value in values])  # noqa: PLR2004  (an even chance)
                    yield (
                        bench.name,
                        kind,
                        split,
                        "support",
                        "share >= 0.5",
                        len(values),
                        over.mean,
                        over.low,
                        over.high,
                    )
                if values and kind != "answered":
                    size = len(values) + len(halves["answered"])
                    yield (bench.name, kind, split, "support", "auroc", size, auroc(halves["answered"], values), "", "")


def auroc(above: Sequence[float], below: Sequence[float]) -> float:
    """Return how often a value of the first is over one of the second; ties count half."""
    wins = sum((one > other) + 0.5 * (one == other) for one in above for other in below)
    return wins / (len(above) * len(below))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=OPEN_SETS, help="a folder with folders of BEIR's form")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    tools = Tools.of(Store(), EMBEDDER)
    stamp = (host.now(), host.commit(), host.device(), host.versions("onnxruntime", "faiss-cpu", "numpy"))
    benches = [Bench(folder, tools) for folder in sorted(options.data.iterdir()) if folder.is_dir()]
    rows: list[Row] = []
    for bench in benches:
        rows += [*fusions(bench), *reranking(bench, tools)]
        sys.stderr.write(f"{bench.name}: done\n")
    rows += supports(benches)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(
            [*stamp, *(f"{cell:.5f}" if isinstance(cell, float) else cell for cell in row)] for row in rows
        )


def _figures(name: str, form: str, search: str, scores: Mapping[str, Scores]) -> Iterator[Row]:
    for split in ("dev", "test"):
        half = [each for id_, each in scores.items() if _split(id_) == split]
        for metric in METRICS[:2] if half else ():
            found = interval([getattr(each, metric) for each in half])
            yield (name, form, split, search, metric, len(half), found.mean, found.low, found.high)


def _split(question: str) -> str:
    return "dev" if is_for_choosing(question) else "test"


def _unanswerable(folder: Path) -> list[beir.Record]:
    """Return the questions that a set marks as having no answer."""
    path = next(path for path in (folder / "queries.jsonl.gz", folder / "queries.jsonl") if path.exists())
    marked = [msgspec.json.decode(line) for _, line in beir.lines(path)]
    return [beir.Record(str(each["_id"]), each["text"]) for each in marked if each.get("answerable") is False]


def _scaled(ranking: Ranking, least: float | None) -> dict[int, float]:
    if not ranking:
        return {}
    low = ranking[-1][1] if least is None else least
    spread = ranking[0][1] - low
    return {id_: (score - low) / spread if spread > 0 else 0.0 for id_, score in ranking}


def _sorted(scores: Mapping[int, float]) -> Ranking:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


if __name__ == "__main__":
    main()
