"""Indexes of stores that are open: opened when first asked for, the longest unused closed when there are too many.

Writers of one store take turns. For one event loop; what blocks runs on threads.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol
from weakref import WeakValueDictionary

from headrace.contracts.retrieval import Index

BOUND: Final = 32


class Shelf(Protocol):
    """Where indexes are. Blocking."""

    def open(self, store: str, *, create: bool) -> Index | None:
        """Return the index of a store; None where there is none and none is to be made."""
        ...

    def drop(self, store: str) -> None:
        """Remove the index of a store, if there is one."""
        ...


class OpenIndexes:
    """The open indexes of one process. At most `bound` that nobody uses stay open."""

    def __init__(self, shelf: Shelf, *, bound: int = BOUND) -> None:
        self._shelf = shelf
        self._bound = bound
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def reading(self, store: str) -> AsyncIterator[Index | None]:
        """Give the index of a store, None where nothing was ever put into it."""
        held = self._hold(store)
        try:
            yield await held.get(lambda: self._shelf.open(store, create=False))
        finally:
            await self._let_go(store, held)

    @asynccontextmanager
    async def writing(self, store: str) -> AsyncIterator[Index | None]:
        """Like `reading`, and alone among this store's writers."""
        async with self._turn(store), self.reading(store) as index:
            yield index

    @asynccontextmanager
    async def putting(self, store: str, is_wanted: Callable[[], Awaitable[bool]]) -> AsyncIterator[Index | None]:
        """Like `writing`, but an index that is not there is made; None where, at its turn, that is not wanted."""
        async with self._turn(store):
            if not await is_wanted():
                yield None
                return
            held = self._hold(store)
            try:
                yield await held.get(lambda: self._shelf.open(store, create=True))
            finally:
                await self._let_go(store, held)

    async def drop(self, store: str) -> None:
        """Remove an index, once those who use it have ended."""
        async with self._turn(store):
            held = self._open.pop(store, None)
            if held is not None:
                await held.wait_until_free()
                await held.close()
            await asyncio.to_thread(self._shelf.drop, store)

    async def close(self) -> None:
        """Close every index once it is free."""
        for store in list(self._open):
            held = self._open.pop(store)
            await held.wait_until_free()
            await held.close()

    def _turn(self, store: str) -> asyncio.Lock:
        return self._turns.setdefault(store, asyncio.Lock())

    def _hold(self, store: str) -> "_Open":
        held = self._open.setdefault(store, _Open())
        self._open.move_to_end(store)
        held.users += 1
        return held

    async def _let_go(self, store: str, held: "_Open") -> None:
        held.release()
        if not held.is_open and not held.users and self._open.get(store) is held:
            del self._open[store]
        while len(self._open) > self._bound:
            unused = next((name for name, each in self._open.items() if not each.users), None)
            if unused is None:
                return
            await self._open.pop(unused).close()


class _Open:
    """One index and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self._index: Index | None = None
        self._opening = asyncio.Lock()
        self._left = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._index is not None

    async def get(self, opened: Callable[[], Index | None]) -> Index | None:
        async with self._opening:
            if self._index is None:
                self._index = await asyncio.to_thread(opened)
            return self._index

    def release(self) -> None:
        self.users -= 1
        self._left.set()

    async def wait_until_free(self) -> None:
        while self.users:
            self._left.clear()
            await self._left.wait()

    async def close(self) -> None:
        if self._index is not None:
            index, self._index = self._index, None
            await asyncio.to_thread(index.close)
