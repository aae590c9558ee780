"""`/v1/files`: uploads that stream to disk, lists, downloads that nothing runs, and deletes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec

from headrace.contracts.errors import NotFound, Overloaded
from headrace.gateway.codecs.files import PURPOSES, download_headers, read_upload, render_file
from headrace.gateway.codecs.listing import read_page, read_query, read_word, render_page
from headrace.gateway.exchange import Exchange
from headrace.gateway.routes.table import Route
from headrace.gateway.uploads import receive_form
from headrace.retrieval.library.blobs import Upload
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import FileRecord

MAX_LIMIT: Final = 10_000
MAX_UPLOADS: Final = 16  # of one tenant at once
_PIECE: Final = 262_144
_QUERY: Final = frozenset({"limit", "order", "after", "purpose"})
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class FileRoutes:
    """Answers for the caller's own files; any other id is a 404.

    file_bytes: the most that one file may have. uploading: how many come at once, by tenant.
    """

    library: Library
    keeper: Keeper
    file_bytes: int
    uploading: Counter[str] = field(default_factory=Counter)

    def routes(self) -> list[Route]:
        """Return what is served."""
        return [
            Route("POST", "/v1/files", self.create),
            Route("GET", "/v1/files", self.page),
            Route("GET", "/v1/files/{}", self.get),
            Route("DELETE", "/v1/files/{}", self.delete),
            Route("GET", "/v1/files/{}/content", self.content),
        ]

    async def create(self, exchange: Exchange) -> None:
        """Take a file; from the answer on it is on disk."""
        files = self.library.files
        tenant = exchange.principal.tenant
        async with self._place(tenant), self._upload() as upload:
            form = await receive_form(exchange, upload, file_limit=self.file_bytes)
            order = read_upload(form.fields)
            record = await asyncio.to_thread(
                files.publish, upload, tenant, form.filename, order.purpose, order.expires_s
            )
        await exchange.respond(200, _ENCODE(render_file(record)))

    async def page(self, exchange: Exchange) -> None:
        """List the tenant's files."""
        found = read_query(exchange.scope["query_string"], _QUERY)
        ask = read_page(found, most=MAX_LIMIT, default=MAX_LIMIT)
        purpose = read_word(found, "purpose", PURPOSES)
        tenant = exchange.principal.tenant
        body = await asyncio.to_thread(
            lambda: _ENCODE(render_page(self.library.files.page(tenant, ask, purpose), render_file))
        )
        await exchange.respond(200, body)

    async def get(self, exchange: Exchange, file: str) -> None:
        """Tell of one file."""
        await exchange.respond(200, _ENCODE(render_file(await self._found(exchange, file))))

    async def delete(self, exchange: Exchange, file: str) -> None:
        """Delete a file, from every store too."""
        await self.keeper.remove_file(exchange.principal.tenant, file)
        await exchange.respond(200, _ENCODE({"id": file, "object": "file", "deleted": True}))

    async def content(self, exchange: Exchange, file: str) -> None:
        """Send the bytes of a file."""
        record = await self._found(exchange, file)
        try:
            handle = await asyncio.to_thread(self.library.files.path(record).open, "rb")
        except FileNotFoundError as exc:
            raise NotFound(f"no file '{file}' exists", param="id", code="file_not_found") from exc
        try:
            async with exchange.leaving():
                await exchange.relay(download_headers(record), _pieces(handle))
        finally:
            await asyncio.to_thread(handle.close)

    async def _found(self, exchange: Exchange, file: str) -> FileRecord:
        return await asyncio.to_thread(self.library.files.get, exchange.principal.tenant, file)

    @asynccontextmanager
    async def _place(self, tenant: str) -> AsyncIterator[None]:
        """Hold one of the tenant's places, so that what arrives unfinished cannot fill the disk."""
        if self.uploading[tenant] >= MAX_UPLOADS:
            raise Overloaded(f"{MAX_UPLOADS} of your uploads are under way; wait for one to end", retry_after_s=1.0)
        self.uploading[tenant] += 1
        try:
            yield
        finally:
            self.uploading[tenant] -= 1
            if not self.uploading[tenant]:
                del self.uploading[tenant]

    @asynccontextmanager
    async def _upload(self) -> AsyncIterator[Upload]:
        upload = await asyncio.to_thread(self.library.files.begin)
        try:
            yield upload
        finally:
            await asyncio.to_thread(upload.close)


async def _pieces(handle: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(handle.read, _PIECE):
        yield piece
