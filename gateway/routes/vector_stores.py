"""`/v1/vector_stores`: make, list, change and delete stores, and search one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Hit, Retriever
from headrace.gateway import strict
from headrace.gateway.codecs import vector_stores as codec
from headrace.gateway.codecs.listing import read_page, read_query, render_page
from headrace.gateway.exchange import Exchange
from headrace.gateway.revisions import Revisions
from headrace.gateway.routes.table import Route
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import StoreRecord

T = TypeVar("T")
MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20
PAGE_QUERY: Final = frozenset({"limit", "order", "after", "before"})
ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes of stores and of their files share. wake: tells the ingest that there is something to do."""

    revisions: Revisions
    library: Library
    keeper: Keeper
    wake: Callable[[], None]

    async def read(self, exchange: Exchange, decoder: msgspec.json.Decoder[T]) -> T:
        """Return the body of a request."""
        server = self.revisions.current.settings.server
        return strict.decode(await exchange.body(server.max_body_bytes), decoder, max_depth=server.max_json_depth)


async def refuse(exchange: Exchange) -> None:
    """Answer where there is no embedder, and so no vector store."""
    del exchange
    raise InvalidRequest(
        "this gateway has no embedding model, which vector stores need; "
        "its config must name one: embeddings: {model: all-minilm-l6-v2}",
        code="embeddings_not_configured",
    )


@dataclass(frozen=True, slots=True)
class VectorStoreRoutes:
    """Answers for the caller's own stores; any other id is a 404."""

    desk: Desk
    retriever: Retriever

    def routes(self) -> list[Route]:
        """Return what is served."""
        return [
            Route("POST", "/v1/vector_stores", self.create),
            Route("GET", "/v1/vector_stores", self.page),
            Route("GET", "/v1/vector_stores/{}", self.get),
            Route("POST", "/v1/vector_stores/{}", self.update),
            Route("DELETE", "/v1/vector_stores/{}", self.delete),
            Route("POST", "/v1/vector_stores/{}/search", self.search),
        ]

    async def create(self, exchange: Exchange) -> None:
        """Make a store, with files if any are named."""
        asked = await self.desk.read(exchange, codec.CREATE_STORE)
        files = codec.read_members(asked.file_ids or (), asked.chunking_strategy)
        tenant = exchange.principal.tenant
        record = await asyncio.to_thread(
            lambda: self.desk.library.stores.create(
                tenant,
                asked.name or "",
                description=asked.description or "",
                metadata=asked.metadata,
                expire_days=None if asked.expires_after is None else asked.expires_after.days,
                files=files,
            )
        )
        self.desk.wake()
        await self._answer(exchange, record)

    async def page(self, exchange: Exchange) -> None:
        """List the tenant's stores."""
        found = read_query(exchange.scope["query_string"], PAGE_QUERY)
        ask = read_page(found, most=MAX_LIMIT, default=DEFAULT_LIMIT)
        page = await asyncio.to_thread(self.desk.library.stores.page, exchange.principal.tenant, ask)
        now = self.desk.library.now()
        await exchange.respond(200, ENCODE(render_page(page, lambda record: codec.render_store(record, now=now))))

    async def get(self, exchange: Exchange, store: str) -> None:
        """Tell of one store."""
        record = await asyncio.to_thread(self.desk.library.stores.get, exchange.principal.tenant, store)
        await self._answer(exchange, record)

    async def update(self, exchange: Exchange, store: str) -> None:
        """Change name, metadata or expiry of a store."""
        changes = codec.read_changes(await self.desk.read(exchange, codec.UPDATE_STORE))
        tenant = exchange.principal.tenant
        await self._answer(exchange, await asyncio.to_thread(self.desk.library.stores.update, tenant, store, changes))

    async def delete(self, exchange: Exchange, store: str) -> None:
        """Delete a store with its index; its files stay."""
        await self.desk.keeper.remove_store(exchange.principal.tenant, store)
        self.desk.wake()
        await exchange.respond(200, ENCODE({"id": store, "object": "vector_store.deleted", "deleted": True}))

    async def search(self, exchange: Exchange, store: str) -> None:
        """Return the best passages of a store, for one query or several."""
        server = self.desk.revisions.current.settings.server
        queries = codec.read_search(await exchange.body(server.max_body_bytes), max_depth=server.max_json_depth)
        async with exchange.leaving():
            found = [await self.retriever.search(exchange.principal.tenant, (store,), query) for query in queries]
        await exchange.respond(200, ENCODE(codec.render_hits(queries, best_of(found, queries[0].k))))

    async def _answer(self, exchange: Exchange, record: StoreRecord) -> None:
        await exchange.respond(200, ENCODE(codec.render_store(record, now=self.desk.library.now())))


def best_of(found: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """Return the best `k` of several searches of one store, each passage once with its best score."""
    best: dict[tuple[str, int], Hit] = {}
    for hit in (hit for hits in found for hit in hits):
        key = (hit.passage.document, hit.passage.id)
        if key not in best or best[key].score < hit.score:
            best[key] = hit
    return sorted(best.values(), key=lambda hit: -hit.score)[:k]
