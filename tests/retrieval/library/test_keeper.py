import asyncio
from pathlib import Path

import pytest

from headrace.contracts.errors import NotFound, StoreError
from headrace.contracts.retrieval import Chunk, Compare, Document, Index
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import FileRecord, NewMember
from headrace.retrieval.library.shelf import FolderShelf
from tests.support.stores import CATS, EMBEDDER, Clock, always, library_in

VECTOR = b"\x00\x00\x80\x3f" + b"\x00" * 4 * (EMBEDDER.dimensions - 1)


class FailingShelf(FolderShelf):
    """Refuses to open anything while it is broken."""

    is_broken = False

    def open(self, store: str, *, create: bool) -> Index | None:
        if self.is_broken:
            raise StoreError("made with another embedder")
        return super().open(store, create=create)

    def drop(self, store: str) -> None:
        if self.is_broken:
            raise StoreError("cannot be removed")
        super().drop(store)


class House:
    """A library with one store and one ingested file in it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.library: Library = library_in(folder, now=self.clock)
        self.shelf = FailingShelf(self.library.collection, lambda: EMBEDDER)
        self.indexes = OpenIndexes(self.shelf)
        self.keeper = Keeper(self.library, self.indexes)
        self.file = self.library.files.keep("a", "cats.txt", CATS.encode())
        self.store = self.library.stores.create("a", expire_days=1).id

    async def put(self, file: FileRecord | None = None) -> None:
        file = file or self.file
        document = Document(file.id, file.name, file.sha256, CATS, (Chunk(CATS, 0, len(CATS), 8),))
        async with self.indexes.putting(self.store, always) as index:
            assert index is not None
            await asyncio.to_thread(index.put, document, [VECTOR])
        self.library.shelves.adopt("a", self.store, NewMember(file.id), 10)

    async def held(self, where: Compare | None = None) -> int:
        async with self.indexes.reading(self.store) as index:
            return 0 if index is None else len(index.lexical("cat", 10, where))

    async def close(self) -> None:
        await self.indexes.close()
        self.library.close()


async def test_a_file_taken_out_of_a_store_leaves_its_index_and_stays_a_file(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    assert await house.held() == 1
    await house.keeper.remove_member("a", house.store, house.file.id)
    assert await house.held() == 0
    assert house.library.files.get("a", house.file.id) == house.file
    await house.close()


async def test_a_deleted_file_leaves_every_store_and_the_disk(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    await house.keeper.remove_file("a", house.file.id)
    assert await house.held() == 0
    assert list((tmp_path / "files").iterdir()) == []
    assert house.library.stores.get("a", house.store).counts.total == 0
    await house.close()


async def test_a_deleted_store_leaves_the_disk_and_its_files_stay(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    await house.keeper.remove_store("a", house.store)
    assert not house.library.collection(house.store).exists()
    assert house.library.files.get("a", house.file.id) == house.file
    await house.close()


async def test_nobody_changes_what_is_anothers(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    for attempt in (
        house.keeper.remove_file("b", house.file.id),
        house.keeper.remove_member("b", house.store, house.file.id),
        house.keeper.remove_store("b", house.store),
        house.keeper.annotate("b", house.store, house.file.id, {}),
        house.keeper.text("b", house.store, house.file.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await house.held() == 1
    await house.close()


async def test_new_attributes_are_filtered_by_and_shown_at_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    record = await house.keeper.annotate("a", house.store, house.file.id, {"team": "x"})
    assert record.attributes == {"team": "x"}
    assert await house.held(Compare("team", "eq", "x")) == 1
    assert await house.held(Compare("team", "ne", "x")) == 0
    await house.close()


async def test_the_text_is_there_once_a_file_is_ingested(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.library.shelves.add("a", house.store, NewMember(house.file.id))
    assert await house.keeper.text("a", house.store, house.file.id) is None
    await house.put()
    assert await house.keeper.text("a", house.store, house.file.id) == CATS
    await house.close()


async def test_an_index_that_fails_hides_what_leaves_and_a_later_sweep_removes_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    await house.indexes.close()
    house.shelf.is_broken = True
    await house.keeper.remove_file("a", house.file.id)
    with pytest.raises(NotFound):
        house.library.files.get("a", house.file.id)
    assert house.library.shelves.shown(house.store, [house.file.id]) == {}
    assert not await house.keeper.sweep()
    house.shelf.is_broken = False
    assert await house.keeper.sweep()
    assert await house.keeper.sweep()
    assert await house.held() == 0
    assert list((tmp_path / "files").iterdir()) == []
    await house.close()


async def test_a_store_that_cannot_be_removed_now_is_removed_later(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    house.shelf.is_broken = True
    await house.keeper.remove_store("a", house.store)
    assert house.library.stores.leaving() == [house.store]
    house.shelf.is_broken = False
    assert await house.keeper.sweep()
    assert house.library.stores.leaving() == []
    assert not house.library.collection(house.store).exists()
    await house.close()


async def test_time_takes_the_index_of_a_store_nobody_uses(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    house.clock.now += 86_400
    assert await house.keeper.sweep()
    assert not house.library.collection(house.store).exists()
    assert house.library.stores.get("a", house.store).is_expired(house.clock.now)
    await house.close()


async def test_without_an_embedder_what_is_deleted_is_hidden(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.put()
    keeper = Keeper(house.library, None)
    await keeper.remove_file("a", house.file.id)
    await keeper.remove_store("a", house.store)
    with pytest.raises(NotFound):
        house.library.files.get("a", house.file.id)
    assert not await keeper.sweep()
    assert await house.keeper.sweep()
    await house.close()
