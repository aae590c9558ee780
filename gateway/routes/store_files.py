"""`/v1/vector_stores/{id}/files` and `/file_batches`: put files into a store, follow how that goes, take them out."""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs import vector_stores as codec
from headrace.gateway.codecs.listing import read_page, read_query, read_word, render_page
from headrace.gateway.exchange import Exchange
from headrace.gateway.routes.table import Route
from headrace.gateway.routes.vector_stores import DEFAULT_LIMIT, ENCODE, MAX_LIMIT, PAGE_QUERY, Desk
from headrace.retrieval.library.records import Status

STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")
_QUERY: Final = PAGE_QUERY | {"filter"}


@dataclass(frozen=True, slots=True)
class StoreFileRoutes:
    """Answers for the files in the caller's own stores; any other id is a 404."""

    desk: Desk

    def routes(self) -> list[Route]:
        """Return what is served."""
        files, batches = "/v1/vector_stores/{}/files", "/v1/vector_stores/{}/file_batches"
        return [
            Route("POST", files, self.create),
            Route("GET", files, self.page),
            Route("GET", f"{files}/{{}}", self.get),
            Route("POST", f"{files}/{{}}", self.update),
            Route("DELETE", f"{files}/{{}}", self.delete),
            Route("GET", f"{files}/{{}}/content", self.content),
            Route("POST", batches, self.create_batch),
            Route("GET", f"{batches}/{{}}", self.get_batch),
            Route("POST", f"{batches}/{{}}/cancel", self.cancel_batch),
            Route("GET", f"{batches}/{{}}/files", self.page_of_batch),
        ]

    async def create(self, exchange: Exchange, store: str) -> None:
        """Put a file into a store; the answer comes at once, the ingest follows."""
        new = codec.read_member(await self.desk.read(exchange, codec.ADD_FILE))
        shelves = self.desk.library.shelves
        record = await asyncio.to_thread(shelves.add, exchange.principal.tenant, store, new)
        self.desk.wake()
        await exchange.respond(200, ENCODE(codec.render_member(record)))

    async def page(self, exchange: Exchange, store: str) -> None:
        """List the files of a store."""
        await self._list(exchange, store, None)

    async def page_of_batch(self, exchange: Exchange, store: str, batch: str) -> None:
        """List the files of a batch."""
        await self._list(exchange, store, batch)

    async def get(self, exchange: Exchange, store: str, file: str) -> None:
        """Tell of one file in a store."""
        record = await asyncio.to_thread(self.desk.library.shelves.get, exchange.principal.tenant, store, file)
        await exchange.respond(200, ENCODE(codec.render_member(record)))

    async def update(self, exchange: Exchange, store: str, file: str) -> None:
        """Change the attributes of a file."""
        asked = await self.desk.read(exchange, codec.UPDATE_FILE)
        attributes = codec.read_attributes(asked.attributes, at="attributes")
        record = await self.desk.keeper.annotate(exchange.principal.tenant, store, file, attributes)
        await exchange.respond(200, ENCODE(codec.render_member(record)))

    async def delete(self, exchange: Exchange, store: str, file: str) -> None:
        """Take a file out of a store; the file itself stays."""
        await self.desk.keeper.remove_member(exchange.principal.tenant, store, file)
        self.desk.wake()
        await exchange.respond(200, ENCODE({"id": file, "object": "vector_store.file.deleted", "deleted": True}))

    async def content(self, exchange: Exchange, store: str, file: str) -> None:
        """Tell what a file was converted to."""
        text = await self.desk.keeper.text(exchange.principal.tenant, store, file)
        if text is None:
            raise InvalidRequest(
                f"the file '{file}' is not ingested; its content is there once its status is 'completed'",
                param="file_id",
                code="file_not_ready",
            )
        page = {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text}],
            "has_more": False,
            "next_page": None,
        }
        await exchange.respond(200, await asyncio.to_thread(ENCODE, page))

    async def create_batch(self, exchange: Exchange, store: str) -> None:
        """Put several files into a store."""
        files = codec.read_batch(await self.desk.read(exchange, codec.ADD_BATCH))
        shelves = self.desk.library.shelves
        record = await asyncio.to_thread(shelves.add_batch, exchange.principal.tenant, store, files)
        self.desk.wake()
        await exchange.respond(200, ENCODE(codec.render_batch(record)))

    async def get_batch(self, exchange: Exchange, store: str, batch: str) -> None:
        """Tell of one batch."""
        record = await asyncio.to_thread(self.desk.library.shelves.batch, exchange.principal.tenant, store, batch)
        await exchange.respond(200, ENCODE(codec.render_batch(record)))

    async def cancel_batch(self, exchange: Exchange, store: str, batch: str) -> None:
        """Give up what of a batch is not ingested yet."""
        record = await asyncio.to_thread(self.desk.library.shelves.cancel, exchange.principal.tenant, store, batch)
        self.desk.wake()
        await exchange.respond(200, ENCODE(codec.render_batch(record)))

    async def _list(self, exchange: Exchange, store: str, batch: str | None) -> None:
        found = read_query(exchange.scope["query_string"], _QUERY)
        ask = read_page(found, most=MAX_LIMIT, default=DEFAULT_LIMIT)
        status = cast("Status | None", read_word(found, "filter", STATUSES))
        tenant, shelves = exchange.principal.tenant, self.desk.library.shelves
        page = await asyncio.to_thread(lambda: shelves.page(tenant, store, ask, status=status, batch=batch))
        await exchange.respond(200, ENCODE(render_page(page, codec.render_member)))
