"""Searches over a library's stores: whose they are first, then their indexes, then what of that may be shown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from headrace.contracts.errors import NotFound
from headrace.contracts.retrieval import Hit, Index, Query
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import STORE_PREFIX
from headrace.retrieval.library.shelves import Shown

MORE: Final = 200  # hits that are asked for once more where some may not be shown

SearchIndex = Callable[[Index, Query], Awaitable[Sequence[Hit]]]


class LibraryRetriever:
    """Implements contracts.retrieval.Retriever over a library. Safe to share between tasks.

    A collection is named by its store's id, or by a name that only one store of the tenant bears. search: does it in
    one index.
    """

    def __init__(self, library: Library, indexes: OpenIndexes, search: SearchIndex) -> None:
        self._library = library
        self._indexes = indexes
        self._search = search

    async def search(self, tenant: str, collections: Sequence[str], query: Query) -> list[Hit]:
        """Return the best passages of one or more stores.

        NotFound for one that is not this tenant's, InvalidRequest for one whose time is over.
        """
        stores = await asyncio.to_thread(self._resolve, tenant, collections)
        found = await asyncio.gather(*(self._search_one(store, query) for store in stores))
        return sorted((hit for hits in found for hit in hits), key=lambda hit: -hit.score)[: query.k]

    def _resolve(self, tenant: str, collections: Sequence[str]) -> list[str]:
        stores = self._library.stores
        ids: dict[str, None] = {}
        for name in collections:
            store = name
            if not name.startswith(STORE_PREFIX):
                named = stores.named(tenant, name) if self._library.exists else None
                if named is None:
                    raise NotFound(
                        f"no vector store '{name[:64]}' exists", param="vector_store_ids", code="vector_store_not_found"
                    )
                store = named.id
            ids[stores.touch(tenant, store).id] = None
        return list(ids)

    async def _search_one(self, store: str, query: Query) -> list[Hit]:
        async with self._indexes.reading(store) as index:
            if index is None:
                return []
            hits = await self._search(index, query)
            shown = await self._shown(store, hits)
            if len(shown) < len(hits):
                more = msgspec.structs.replace(query, k=query.k + MORE)
                shown = await self._shown(store, await self._search(index, more))
            return shown[: query.k]

    async def _shown(self, store: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits in files that are ingested and still there, under their names and attributes of now."""
        files = {hit.passage.document for hit in hits}
        known = await asyncio.to_thread(self._library.shelves.shown, store, files) if files else {}
        return [_as_shown(hit, known[hit.passage.document]) for hit in hits if hit.passage.document in known]


def _as_shown(hit: Hit, shown: Shown) -> Hit:
    passage = msgspec.structs.replace(hit.passage, name=shown.name, attributes=shown.attributes)
    return msgspec.structs.replace(hit, passage=passage)
