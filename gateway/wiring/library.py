"""The library of files and vector stores: its folder, its ingest and its routes, built once from settings."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from headrace.contracts.protocols import Embedder
from headrace.gateway.revisions import Revisions
from headrace.gateway.routes.answers import Handler
from headrace.gateway.routes.files import FileRoutes
from headrace.gateway.routes.store_files import StoreFileRoutes
from headrace.gateway.routes.table import Route, Table
from headrace.gateway.routes.vector_stores import Desk, VectorStoreRoutes, refuse
from headrace.gateway.settings.tree import RetrievalSettings
from headrace.gateway.telemetry.metrics import Metrics
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.open import IndexOptions
from headrace.retrieval.embed.identity import embedder_id
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.intake import Intake
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library, LibraryLimits
from headrace.retrieval.library.preparing import FilePreparer
from headrace.retrieval.library.questions import Questions
from headrace.retrieval.library.retriever import LibraryRetriever
from headrace.retrieval.library.shelf import FolderShelf
from headrace.retrieval.search.search import Reranker, Searcher, SearchSettings

FILES: Final = "/v1/files"
VECTOR_STORES: Final = "/v1/vector_stores"


@dataclass(frozen=True, slots=True)
class Stores:
    """What vector stores need beside the library: open indexes, the ingest and the search."""

    indexes: OpenIndexes
    intake: Intake
    retriever: LibraryRetriever


class LibraryService:
    """Files for everybody, and vector stores where there is an embedder. Made without touching the disk."""

    def __init__(
        self,
        settings: RetrievalSettings,
        embedder: Embedder | None,
        folder: Path | None,
        metrics: Metrics,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        self._settings = settings
        self._reranker = reranker
        self._metrics = metrics
        limits = LibraryLimits(settings.max_file_bytes, settings.max_tenant_bytes, settings.max_store_files)
        self._library = Library(settings.folder, limits)
        self._stores: Stores | None = None
        if embedder is not None and folder is not None:
            self._keeper, self._stores = self._open(embedder, folder)
        else:
            self._keeper = Keeper(self._library, None)

    @property
    def retriever(self) -> LibraryRetriever | None:
        """Searches the stores; None without an embedder."""
        return None if self._stores is None else self._stores.retriever

    def start(self) -> None:
        """Begin to ingest."""
        if self._stores is not None:
            self._stores.intake.start()

    async def stop(self) -> None:
        """End the ingest and close everything."""
        if self._stores is not None:
            await self._stores.intake.stop()
            await self._stores.indexes.close()
        await asyncio.to_thread(self._library.close)

    def routes(self, revisions: Revisions, clock: Callable[[], float]) -> Mapping[str, Handler]:
        """Return what is served, by path."""
        files = FileRoutes(self._library, self._keeper, self._settings.max_file_bytes)
        served = {FILES: self._table(files.routes(), "files", clock), VECTOR_STORES: refuse}
        if self._stores is not None:
            desk = Desk(revisions, self._library, self._keeper, self._stores.intake.wake)
            routes = [*VectorStoreRoutes(desk, self._stores.retriever).routes(), *StoreFileRoutes(desk).routes()]
            served[VECTOR_STORES] = self._table(routes, "vector_stores", clock)
        return served

    def _table(self, routes: list[Route], endpoint: str, clock: Callable[[], float]) -> Handler:
        return Table(routes, partial(self._metrics.answered, endpoint), clock).serve

    def _open(self, embedder: Embedder, folder: Path) -> tuple[Keeper, Stores]:
        index = self._settings.index
        options = IndexOptions(index.engine, index.kind, index.url, index.api_key)
        identity = cache(partial(embedder_id, embedder.card.id, folder))
        indexes = OpenIndexes(FolderShelf(self._library.collection, identity, options))
        keeper = Keeper(self._library, indexes)
        tokenizer = cache(partial(Tokens.load, folder))
        preparers = [
            FilePreparer(Converter(Limits(), embedder=folder), tokenizer, embedder)
            for _ in range(self._settings.ingest_workers)
        ]
        intake = Intake(self._library, indexes, keeper, preparers, self._metrics.ingested)
        self._metrics.watch_intake(lambda: intake.running, lambda: intake.unfinished)
        search = SearchSettings(rerank=self._reranker is not None)
        searcher = Searcher(Questions(embedder, tokenizer).vector, reranker=self._reranker, settings=search)
        return keeper, Stores(indexes, intake, LibraryRetriever(self._library, indexes, searcher.search))
