"""`headrace rag eval`: how well the search finds what was judged relevant, on any collection in BEIR's form."""

import asyncio
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from headrace.contracts.errors import StoreError
from headrace.models.store.fetching import fetch
from headrace.models.store.store import Store
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.open import IndexOptions, open_index
from headrace.retrieval.embed.identity import embedder_id
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.search import beir
from headrace.retrieval.search.corpus import Corpus, Filler, place_of
from headrace.retrieval.search.evaluate import METRICS, SYSTEMS, Metric, Outcome, System, Trial, drawn, evaluate
from headrace.retrieval.search.questions import fitted
from headrace.retrieval.search.rerank import CrossEncoder
from headrace.retrieval.search.search import Embed, Searcher, SearchSettings

app: Final = typer.Typer(
    help="Measure the search over documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
EMBEDDER: Final = "all-minilm-l6-v2"
RERANKER: Final = "ms-marco-minilm-l-12-v2-int8"
WORDS: Final[dict[Metric, str]] = {"ndcg": "ndcg@10", "recall": "recall@100", "mrr": "mrr@10"}

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a measurement is made with. home: where indexes are kept from run to run. folder: of the embedder."""

    home: Path
    embedder: str
    folder: Path
    reranker: CrossEncoder | None = None

    @classmethod
    def of(cls, store: Store, embedder: str = EMBEDDER, *, rerank: bool = True) -> Self:
        """Return the tools that a model store has."""
        return cls(store.home, embedder, store.path(embedder), _reranker(store) if rerank else None)


@app.callback()
def group() -> None:
    """Measure the search over documents."""


@app.command("eval")
def eval_(
    dataset: Annotated[Path, typer.Option(help="A folder with corpus.jsonl, queries.jsonl (or .gz) and qrels.tsv.")],
    embedder: Annotated[str, typer.Option(help="The embedding model, by its catalogue id.")] = EMBEDDER,
    limit_queries: Annotated[int | None, typer.Option(min=1, help="Ask at most so many questions.")] = None,
    *,
    rerank: Annotated[bool, typer.Option(help="Measure the cross-encoder too.")] = True,
    intervals: Annotated[bool, typer.Option("--intervals", help="Put the 95% intervals into the JSON too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Print nDCG@10, recall@100, MRR@10 and milliseconds a query: by words, by vectors, by both, and reranked."""
    given = drawn(beir.read(dataset), limit_queries)
    tools = Tools.of(Store(), embedder, rerank=rerank)
    with telling() as tell:
        outcomes = measure(given, tools, tell)
    if as_json:
        sys.stdout.write(json.dumps(as_object(outcomes, intervals=intervals)) + "\n")
    else:
        Console().print(
            as_table(outcomes, f"{dataset.name}: {len(given.queries)} questions, {len(given.corpus)} passages")
        )


def measure(given: beir.Dataset, tools: Tools, tell: Tell) -> dict[System, Outcome]:
    """Ask a dataset's questions of the searches that the tools allow."""
    systems: list[System] = [name for name in SYSTEMS if tools.reranker is not None or name != "hybrid+rerank"]
    with filled(given, tools, tell) as trial:
        return asyncio.run(evaluate(trial, systems, lambda done, total: tell("questions", done, total)))


@contextmanager
def filled(given: beir.Dataset, tools: Tools, tell: Tell) -> Iterator[Trial]:
    """Put a dataset's passages into an index, or open the one of an earlier run, and give what searches it.

    The search is exact whatever the size, so that the figures are those of the ranking; near-copies stay, since each is
    judged by itself, and the reranker has all the time it takes.
    """
    threads = len(os.sched_getaffinity(0))
    model, tokenizer = EmbeddingModel(tools.folder, threads=1), Tokens.load(tools.folder)
    corpus, identity = Corpus(given.corpus), embedder_id(tools.embedder, tools.folder)
    index = open_index(place_of(tools.home, corpus, identity), identity, create=True, options=IndexOptions(kind="flat"))
    settings = SearchSettings(are_distinct=False, rerank_within_s=math.inf)
    searcher = Searcher(_embedding(model, tokenizer), reranker=tools.reranker, settings=settings)
    try:
        filler = Filler(model, tokenizer, threads=threads)
        filler.fill(index, corpus, lambda done, total: tell("passages", done, total))
        yield Trial(given, corpus, index, searcher)
    finally:
        index.close()


def as_object(outcomes: Mapping[System, Outcome], *, intervals: bool) -> dict[str, Any]:
    """Return the figures ready for JSON."""
    told: dict[str, Any] = {}
    for system, outcome in outcomes.items():
        figures: dict[str, Any] = {}
        for metric in METRICS:
            found = outcome.interval(metric)
            figures[WORDS[metric]] = round(found.mean, 5)
            if intervals:
                figures[f"{WORDS[metric]}_95"] = [round(found.low, 5), round(found.high, 5)]
        told[system] = {**figures, "ms_per_query": round(outcome.ms_per_query, 3)}
    return told


def as_table(outcomes: Mapping[System, Outcome], title: str) -> Table:
    """Return the figures with their 95% intervals as a table."""
    table = Table("search", *WORDS.values(), "ms a query", title=title, caption="with 95% bootstrap intervals")
    for system, outcome in outcomes.items():
        cells = []
        for metric in METRICS:
            found = outcome.interval(metric)
            cells.append(f"{found.mean:.4f}\n{found.low:.3f} .. {found.high:.3f}")
        table.add_row(system, *cells, f"{outcome.ms_per_query:.1f}")
    return table


def _embedding(model: EmbeddingModel, tokenizer: Tokens) -> Embed:
    def embed(text: str) -> bytes:
        return model.embed(model.tokenize([fitted(text, tokenizer)]))[0]

    async def embedded(text: str) -> bytes:
        return await asyncio.to_thread(embed, text)

    return embedded


def _reranker(store: Store) -> CrossEncoder | None:
    """Return the cross-encoder, fetched if need be; without one the rest is measured all the same."""
    try:
        if not store.has(RERANKER):
            sys.stderr.write(f"fetching {RERANKER}\n")
            fetch([RERANKER])
        return CrossEncoder(store.path(RERANKER), threads=len(os.sched_getaffinity(0)))
    except StoreError as exc:
        sys.stderr.write(f"hybrid+rerank is left out: {exc.message}\n")
        return None


@contextmanager
def telling() -> Iterator[Tell]:
    """Give what shows how far a step is, on stderr: a bar, or a line at each tenth."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        yield show


def _lines() -> Tell:
    told: dict[str, int] = {}

    def show(step: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth > told.get(step, -1):
            told[step] = tenth
            sys.stderr.write(f"{step}: {done} of {total}\n")
            sys.stderr.flush()

    return show
