import asyncio
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.contracts.retrieval import Index
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.shelf import FolderShelf
from tests.support.stores import EMBEDDER, always, library_in


class CountingShelf(FolderShelf):
    """Counts what is opened and dropped."""

    def __init__(self, library: Library) -> None:
        super().__init__(library.collection, lambda: EMBEDDER)
        self.opened: list[str] = []
        self.dropped: list[str] = []
        self.fails = False

    def open(self, store: str, *, create: bool) -> Index | None:
        self.opened.append(store)
        if self.fails:
            raise StoreError("damaged")
        return super().open(store, create=create)

    def drop(self, store: str) -> None:
        self.dropped.append(store)
        super().drop(store)


@pytest.fixture
def shelf(tmp_path: Path) -> CountingShelf:
    return CountingShelf(library_in(tmp_path))


async def test_an_index_is_made_by_who_puts_and_opened_once(shelf: CountingShelf) -> None:
    indexes = OpenIndexes(shelf)
    async with indexes.reading("vs_1") as index:
        assert index is None
    async with indexes.putting("vs_1", always) as made:
        assert made is not None
        assert list(made.documents()) == []
    async with indexes.reading("vs_1") as one, indexes.reading("vs_1") as other:
        assert one is other is made
    assert shelf.opened == ["vs_1", "vs_1"]
    await indexes.close()


async def test_the_longest_unused_are_closed_and_those_in_use_are_not(shelf: CountingShelf) -> None:
    indexes = OpenIndexes(shelf, bound=2)
    for name in ("vs_1", "vs_2", "vs_3"):
        async with indexes.putting(name, always):
            pass
    shelf.opened.clear()
    async with indexes.reading("vs_2"), indexes.reading("vs_3"), indexes.reading("vs_1") as first:
        assert first is not None
        assert shelf.opened == ["vs_1"]
        assert first.lexical("x", 1) == []
    assert len(indexes._open) == 2
    await indexes.close()


async def test_writers_of_one_store_take_turns_and_others_do_not_wait(shelf: CountingShelf) -> None:
    indexes = OpenIndexes(shelf)
    order: list[str] = []

    async def write(store: str, name: str, gate: asyncio.Event) -> None:
        async with indexes.putting(store, always):
            order.append(f"{name} in")
            await gate.wait()
            order.append(f"{name} out")

    gate, open_gate = asyncio.Event(), asyncio.Event()
    open_gate.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write("vs_1", "first", gate))
        await asyncio.sleep(0)
        tasks.create_task(write("vs_1", "second", open_gate))
        await tasks.create_task(write("vs_2", "other", open_gate))
        assert "second in" not in order
        gate.set()
    assert order[-3:] == ["first out", "second in", "second out"]
    await indexes.close()


async def test_an_index_is_dropped_when_those_who_read_it_have_ended(shelf: CountingShelf) -> None:
    indexes = OpenIndexes(shelf)
    async with indexes.putting("vs_1", always):
        pass
    async with asyncio.TaskGroup() as tasks, indexes.reading("vs_1") as index:
        dropping = tasks.create_task(indexes.drop("vs_1"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not dropping.done()
        assert index is not None
        assert index.lexical("x", 1) == []
    assert shelf.dropped == ["vs_1"]
    async with indexes.reading("vs_1") as after:
        assert after is None
    await indexes.close()


async def test_an_index_that_cannot_be_opened_is_tried_again_the_next_time(shelf: CountingShelf) -> None:
    indexes = OpenIndexes(shelf)
    shelf.fails = True
    with pytest.raises(StoreError):
        async with indexes.putting("vs_1", always):
            pass
    shelf.fails = False
    async with indexes.putting("vs_1", always) as index:
        assert index is not None
        assert index.lexical("x", 1) == []
    await indexes.close()


async def test_an_index_is_not_made_for_what_nobody_wants_any_more(shelf: CountingShelf) -> None:
    async def never() -> bool:
        return False

    indexes = OpenIndexes(shelf)
    async with indexes.putting("vs_1", never) as index:
        assert index is None
    assert shelf.opened == []
    await indexes.close()
