"""`headrace search`: one question to one collection, with the score of each stage, as the gateway would find it."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.cli.filling import scalar
from headrace.cli.place import TENANT, Place
from headrace.contracts.chat import EmbeddingCall, Usage
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import Embeddings
from headrace.contracts.retrieval import Filter, Hit, Query, SearchMode
from headrace.gateway.codecs.filters import read_filter
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.store import Store
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.ingest.embedding import ModelEmbed
from headrace.retrieval.ingest.job import PATH
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.questions import Questions
from headrace.retrieval.library.retriever import LibraryRetriever
from headrace.retrieval.library.shelf import FolderShelf
from headrace.retrieval.search.evidence import evidence
from headrace.retrieval.search.rerank import CrossEncoder
from headrace.retrieval.search.search import Searcher

app: Final = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
RERANKER: Final = "ms-marco-minilm-l-12-v2-int8"
STAGES: Final = ("lexical", "dense", "hybrid", "rerank")
_SHOWN: Final = 240  # characters of a passage in the table
_FILTER: Final = re.compile(r"\s*([^\s=<>!]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*")
_OPS: Final[Mapping[str, str]] = {"=": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", help="key=value, also with != > >= < <=, or OpenAI's filters as JSON; repeatable, all hold."
    ),
]


@app.command()
def search(
    collection: Annotated[str, typer.Argument(help="The collection: its name, or its id (vs_...).")],
    query: Annotated[str, typer.Argument(help="What to look for; '-' reads it from stdin.")],
    *,
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="How many passages.")] = 10,
    filters: Filters = None,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out what scores less.")] = 0.0,
    mode: Annotated[SearchMode, typer.Option(help="By words, by vectors, or both.")] = "hybrid",
    rerank: Annotated[bool, typer.Option("--rerank", help=f"Let {RERANKER} read the best passages.")] = False,
    config: Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Search a collection and show what each stage thought of each passage."""
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise InvalidRequest("the query is empty; pass it as the argument, or '-' to read stdin")
    asked = Query(text, k, parse_filters(filters or []), min_score, rerank, mode)
    place = Place.of(config)
    store = place.store(collection)
    hits = asyncio.run(_found(place, store.id, asked))
    support = evidence(hits, text).support
    if as_json:
        told = {"collection": store.name, "id": store.id, "support": support, "hits": msgspec.to_builtins(hits)}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    elif hits:
        Console().print(_table(hits))
        sys.stdout.write(f"support {support:.2f}: how likely {store.name} answers this\n")
    else:
        sys.stdout.write(f"nothing found in {store.name}\n")


def parse_filters(given: Sequence[str]) -> Filter | None:
    """Return what all `--filter` options mean together, None where there are none."""
    read = [_filter(one, f"--filter {one!r}") for one in given]
    if len(read) < 2:  # noqa: PLR2004  (one needs no other)
        return read_filter(read[0], at="--filter") if read else None
    return read_filter({"type": "and", "filters": read}, at="--filter")


def _filter(given: str, at: str) -> object:
    if given.lstrip().startswith("{"):
        try:
            return json.loads(given)
        except ValueError as exc:
            raise InvalidRequest(f"{at} is no JSON: {exc}") from exc
    found = _FILTER.fullmatch(given)
    if found is None:
        raise InvalidRequest(
            f"{at}: give key=value, also with != > >= < <=, or JSON such as "
            '{"type": "in", "key": "year", "value": [2023, 2024]}'
        )
    key, sign, value = found.groups()
    return {"type": _OPS[sign], "key": key, "value": scalar(value)}


async def _found(place: Place, store: str, query: Query) -> list[Hit]:
    threads = len(os.sched_getaffinity(0))
    reranker = CrossEncoder(Store(place.home).path(RERANKER), threads=threads) if query.rerank else None
    embedder = _LocalEmbedder(place, threads)
    questions = Questions(embedder, partial(Tokens.load, place.folder))
    indexes = OpenIndexes(FolderShelf(place.library.collection, lambda: place.embedder, place.options))
    try:
        searcher = Searcher(questions.vector, reranker=reranker)
        return await LibraryRetriever(place.library, indexes, searcher.search).search(TENANT, [store], query)
    finally:
        await indexes.close()


class _LocalEmbedder:
    """Implements contracts.protocols.Embedder with a model in this process, loaded when it is first asked."""

    def __init__(self, place: Place, threads: int) -> None:
        self._place = place
        self._threads = threads

    @property
    def card(self) -> ModelCard:
        """What the catalogue says of it."""
        return Catalogue.packaged().get(self._place.model).card

    def is_live(self) -> bool:
        """It is here."""
        return True

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Embed every input."""
        return await asyncio.to_thread(self._embed, [text for text in call.inputs if isinstance(text, str)])

    def _embed(self, texts: list[str]) -> Embeddings:
        vectors = ModelEmbed.load(self._place.folder, threads=self._threads).embed(texts)
        return Embeddings(vectors, len(vectors[0]) // 4, Usage(0, 0, 0))


def _table(hits: Sequence[Hit]) -> Table:
    used = [stage for stage in STAGES if any(stage in hit.stages for hit in hits)]
    table = Table("", "score", *used, "document", "passage")
    for rank, hit in enumerate(hits, start=1):
        stages = [f"{hit.stages[stage]:.3f}" if stage in hit.stages else "-" for stage in used]
        table.add_row(str(rank), f"{hit.score:.3f}", *stages, Text(_where(hit)), Text(_beginning(hit.passage.text)))
    return table


def _where(hit: Hit) -> str:
    passage = hit.passage
    name = str(passage.attributes.get(PATH, passage.name))
    page = f" p. {passage.page}" if passage.page is not None else ""
    heading = f"\n{passage.heading}" if passage.heading else ""
    return f"{name}{page} [{passage.start}:{passage.end}]{heading}"


def _beginning(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}…"
