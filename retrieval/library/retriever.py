"""Searches over a library's stores: whose they are first, then their indexes, then what of that may be shown."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from headrace.contracts.errors import NotFound, Overloaded, StoreError
from headrace.contracts.retrieval import Hit, Index, Query
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import STORE_PREFIX
from headrace.retrieval.library.shelves import Shown

_log: Final = logging.getLogger(__name__)
RETRY_AFTER_S: Final = 60.0
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

        NotFound for one that is not this tenant's, InvalidRequest for one whose time is over, Overloaded for one whose
        index is damaged or of another embedder.
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
        try:
            async with self._indexes.reading(store) as index:
                return [] if index is None else await self._search_in(index, store, query)
        except StoreError as exc:
            _log.error("vector store %s cannot be searched: %s", store, exc.message)
            raise Overloaded(
                f"the vector store '{store}' cannot be searched before its operator has seen to it; the log says why",
                retry_after_s=RETRY_AFTER_S,
                code="vector_store_unavailable",
            ) from exc

    async def _search_in(self, index: Index, store: str, query: Query) -> list[Hit]:
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
