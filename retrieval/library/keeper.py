"""Changes that concern the catalogue and an index alike: taking out, describing anew, and what time takes away.

The catalogue is changed first, so that nothing of it is seen any more; then the index; then the row goes. Whatever a
crash or an index that fails leaves between two of these is found again by `sweep`.
"""

import asyncio
from typing import Final

from headrace.contracts.errors import BackendError, Overloaded, StoreError
from headrace.contracts.retrieval import Attributes
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import Leaving, MemberRecord

_LATER: Final = (StoreError, Overloaded, BackendError, OSError)


class Keeper:
    """Keeps catalogue and indexes in step. For one event loop.

    indexes: None where no index can be opened, for want of an embedder: what is taken out stays hidden until then.
    """

    def __init__(self, library: Library, indexes: OpenIndexes | None) -> None:
        self._library = library
        self._indexes = indexes

    async def remove_file(self, tenant: str, file: str) -> None:
        """Delete a file of this tenant, from every store too; NotFound for any other id."""
        leaving = await asyncio.to_thread(self._library.files.leave, tenant, file)
        for each in leaving:
            await self._take_out(each)
        await asyncio.to_thread(self._library.files.gone, file)

    async def remove_member(self, tenant: str, store: str, file: str) -> None:
        """Take a file out of a store of this tenant; the file itself stays."""
        await self._take_out(await asyncio.to_thread(self._library.shelves.leave, tenant, store, file))

    async def remove_store(self, tenant: str, store: str) -> None:
        """Delete a store of this tenant; its files stay."""
        await asyncio.to_thread(self._library.stores.leave, tenant, store)
        await self._forget_store(store)

    async def annotate(self, tenant: str, store: str, file: str, attributes: Attributes) -> MemberRecord:
        """Change the attributes of a file in a store, for filters and for what is shown."""
        shelves = self._library.shelves
        await asyncio.to_thread(shelves.get, tenant, store, file)
        if self._indexes is None:
            return await asyncio.to_thread(shelves.annotate, tenant, store, file, attributes)
        async with self._indexes.writing(store) as index:
            record = await asyncio.to_thread(shelves.annotate, tenant, store, file, attributes)
            if index is not None:
                await asyncio.to_thread(index.annotate, file, attributes)
        return record

    async def text(self, tenant: str, store: str, file: str) -> str | None:
        """Return the text that a file was converted to; None while it is not in the index."""
        record = await asyncio.to_thread(self._library.shelves.get, tenant, store, file)
        if record.status != "completed" or self._indexes is None:
            return None
        async with self._indexes.reading(store) as index:
            return None if index is None else await asyncio.to_thread(index.text, file)

    async def sweep(self) -> bool:
        """Finish what was begun, and remove what has expired; False where something must be tried again."""
        library = self._library
        expired = await asyncio.to_thread(library.files.leave_expired)
        done = [await self._take_out(leaving) for leaving in await asyncio.to_thread(library.backlog.leaving)]
        for file in expired:
            await asyncio.to_thread(library.files.gone, file)
        done += [await self._forget_store(store) for store in await asyncio.to_thread(library.stores.leaving)]
        for store in await asyncio.to_thread(library.stores.empty_expired):
            done.append(is_dropped := await self._drop(store))
            if is_dropped:
                await asyncio.to_thread(library.stores.emptied, store)
        await asyncio.to_thread(library.backlog.forget_gone)
        return all(done)

    async def _take_out(self, leaving: Leaving) -> bool:
        """Remove a file from an index and forget it; False where the index fails, then it stays hidden."""
        if self._indexes is None:
            return False
        try:
            async with self._indexes.writing(leaving.store) as index:
                if await asyncio.to_thread(self._library.backlog.is_leaving, leaving):
                    if index is not None:
                        await asyncio.to_thread(index.remove, leaving.file)
                    await asyncio.to_thread(self._library.shelves.gone, leaving)
        except _LATER:
            return False
        return True

    async def _forget_store(self, store: str) -> bool:
        is_dropped = await self._drop(store)
        if is_dropped:
            await asyncio.to_thread(self._library.stores.gone, store)
        return is_dropped

    async def _drop(self, store: str) -> bool:
        if self._indexes is None:
            return False
        try:
            await self._indexes.drop(store)
        except _LATER:
            return False
        return True
