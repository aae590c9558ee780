"""Where the command line finds collections: the library, the index of each store and the embedder, as a config says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from headrace.contracts.errors import ConfigError, NotFound
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.retrieval import EmbedderId, Index
from headrace.gateway.settings.load import load
from headrace.models.store.store import Store
from headrace.retrieval.collection.open import IndexOptions, drop_index, open_index
from headrace.retrieval.embed.identity import embedder_id
from headrace.retrieval.library.library import Library, LibraryLimits
from headrace.retrieval.library.paging import PageAsk
from headrace.retrieval.library.records import STORE_PREFIX, MemberRecord, StoreRecord

TENANT: Final = ANONYMOUS.tenant  # what the command line owns, and whoever asks a gateway without keys
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """The library of one config. model, folder: of the embedder. home: where the model store is."""

    library: Library
    options: IndexOptions
    model: str
    folder: Path
    home: Path

    @classmethod
    def of(cls, config: Path | None, embedder: str | None = None) -> Self:
        """Return the place that a config names, the packaged one if None; StoreError where the embedder is missing."""
        settings = load(config)
        model = embedder or settings.embeddings
        if model is None:
            raise ConfigError(
                f"{settings.source}: no embeddings model; name one with --embedder, or as embeddings.model"
            )
        kept = settings.retrieval
        limits = LibraryLimits(kept.max_file_bytes, kept.max_tenant_bytes, kept.max_store_files)
        index = kept.index
        options = IndexOptions(index.engine, index.kind, index.url, index.api_key)
        return cls(Library(kept.folder, limits), options, model, Store(settings.home).path(model), settings.home)

    @property
    def embedder(self) -> EmbedderId:
        """Which embedder an index must have been made with."""
        return embedder_id(self.model, self.folder)

    def store(self, name: str) -> StoreRecord:
        """Return the store of this name or id; NotFound says how to make it."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"no collection {name!r}; `headrace index list` tells all, `index add {name} PATH` makes it")
        return found

    def find(self, name: str) -> StoreRecord | None:
        """Return the store of this name or id, None where there is none."""
        if not self.library.exists:
            return None
        named = self.library.stores.named(TENANT, name)
        if named is None and name.startswith(STORE_PREFIX):
            return self.library.stores.get(TENANT, name)
        return named

    def stores(self) -> Iterator[StoreRecord]:
        """Yield every store, oldest first."""
        after: str | None = None
        while self.library.exists:
            page = self.library.stores.page(TENANT, PageAsk(_PAGE, "asc", after=after))
            yield from page.items
            if not page.has_more:
                return
            after = page.items[-1].id

    def members(self, store: str) -> Iterator[MemberRecord]:
        """Yield every file of a store, oldest first."""
        after: str | None = None
        while True:
            page = self.library.shelves.page(TENANT, store, PageAsk(_PAGE, "asc", after=after))
            yield from page.items
            if not page.has_more:
                return
            after = page.items[-1].file

    @contextmanager
    def index(self, store: str, *, create: bool = False) -> Iterator[Index]:
        """Give a store's index."""
        index = open_index(self.library.collection(store), self.embedder, create=create, options=self.options)
        try:
            yield index
        finally:
            index.close()

    def drop(self, store: str) -> None:
        """Remove a store's index."""
        drop_index(self.library.collection(store), self.options)

    def swap(self, store: str, fresh: Path) -> None:
        """Put another index in the place of a store's."""
        place = self.library.collection(store)
        old = place.with_name(f"{place.name}.old")
        drop_index(old, self.options)
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        drop_index(old, self.options)
