import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, NotFound, Overloaded
from headrace.contracts.retrieval import Chunk, Document, EmbedderId, Hit, Index, Query
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.records import NewMember
from headrace.retrieval.library.retriever import LibraryRetriever
from headrace.retrieval.library.shelf import FolderShelf
from tests.support.stores import EMBEDDER, Clock, always, library_in

VECTOR = b"\x00\x00\x80\x3f" + b"\x00" * 4 * (EMBEDDER.dimensions - 1)


async def by_words(index: Index, query: Query) -> Sequence[Hit]:
    """Search by words alone."""
    found = await asyncio.to_thread(index.lexical, query.text, query.k, query.where)
    passages = index.passages([id_ for id_, _ in found])
    return [Hit(passage, score / (1 + score)) for passage, (_, score) in zip(passages, found, strict=True)]


class House:
    """Stores of two tenants with files of one passage each."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.library = library_in(folder, now=self.clock)
        self.indexes = OpenIndexes(FolderShelf(self.library.collection, lambda: EMBEDDER))
        self.keeper = Keeper(self.library, self.indexes)
        self.retriever = LibraryRetriever(self.library, self.indexes, by_words)

    async def put(self, store: str, text: str, tenant: str = "a", *, is_shown: bool = True) -> str:
        file = self.library.files.keep(tenant, f"{text}.txt", text.encode())
        document = Document(file.id, file.name, file.sha256, text, (Chunk(text, 0, len(text), 8),))
        async with self.indexes.putting(store, always) as index:
            assert index is not None
            await asyncio.to_thread(index.put, document, [VECTOR])
        if is_shown:
            self.library.shelves.adopt(tenant, store, NewMember(file.id, {"n": 1}), 10)
        return file.id

    async def names(self, tenant: str, stores: Sequence[str], text: str = "cat", k: int = 10) -> list[str]:
        hits = await self.retriever.search(tenant, stores, Query(text, k))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        return [hit.passage.name for hit in hits]

    async def close(self) -> None:
        await self.indexes.close()
        self.library.close()


async def test_several_stores_are_searched_as_one_by_id_or_name(tmp_path: Path) -> None:
    house = House(tmp_path)
    zoo, farm = house.library.stores.create("a", "zoo").id, house.library.stores.create("a", "farm").id
    await house.put(zoo, "cat cat cat")
    await house.put(farm, "a cat on a farm")
    both = ["cat cat cat.txt", "a cat on a farm.txt"]
    assert sorted(await house.names("a", [zoo, farm])) == sorted(both)
    assert sorted(await house.names("a", ["zoo", "farm", zoo, "zoo"])) == sorted(both)
    assert len(await house.names("a", [zoo, farm], k=1)) == 1
    (hit,) = await house.retriever.search("a", ["zoo"], Query("cat"))
    assert hit.passage.attributes == {"n": 1}
    await house.close()


async def test_a_store_of_another_tenant_is_not_found_by_id_or_name(tmp_path: Path) -> None:
    house = House(tmp_path)
    mine, theirs = house.library.stores.create("a", "zoo").id, house.library.stores.create("b", "theirs").id
    await house.put(theirs, "cat", "b")
    for stores in ([theirs], ["theirs"], [mine, theirs], ["nobody"], ["vs_nobody"]):
        with pytest.raises(NotFound):
            await house.names("a", stores)
    assert await house.names("b", [theirs]) == ["cat.txt"]
    await house.close()


async def test_without_a_library_nothing_is_found_and_none_is_made(tmp_path: Path) -> None:
    house = House(tmp_path / "none")
    with pytest.raises(NotFound):
        await house.names("a", ["handbook"])
    assert not house.library.exists
    await house.close()


async def test_a_store_that_nothing_was_put_into_gives_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert await house.names("a", [house.library.stores.create("a").id]) == []
    await house.close()


async def test_an_expired_store_is_refused_and_use_puts_expiry_off(tmp_path: Path) -> None:
    house = House(tmp_path)
    store = house.library.stores.create("a", expire_days=1).id
    await house.put(store, "cat")
    for _ in range(3):
        house.clock.now += 80_000
        assert await house.names("a", [store]) == ["cat.txt"]
    house.clock.now += 86_400
    with pytest.raises(InvalidRequest, match="expired"):
        await house.names("a", [store])
    await house.close()


async def test_what_may_not_be_shown_takes_no_place_from_what_may(tmp_path: Path) -> None:
    house = House(tmp_path)
    store = house.library.stores.create("a").id
    for n in range(4):
        await house.put(store, f"cat cat cat {n}", is_shown=False)
    await house.put(store, "one cat among many other words here")
    assert await house.names("a", [store], k=2) == ["one cat among many other words here.txt"]
    await house.close()


async def test_a_removed_file_is_not_found_from_that_moment_on(tmp_path: Path) -> None:
    house = House(tmp_path)
    store = house.library.stores.create("a").id
    file = await house.put(store, "cat")
    house.library.files.leave("a", file)
    assert await house.names("a", [store]) == []
    await house.close()


async def test_an_index_of_another_embedder_is_503_and_the_log_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    store = house.library.stores.create("a").id
    await house.put(store, "cat")
    await house.close()
    other = FolderShelf(house.library.collection, lambda: EmbedderId("other", "1" * 64, EMBEDDER.dimensions))
    indexes = OpenIndexes(other)
    with pytest.raises(Overloaded) as refused:
        await LibraryRetriever(house.library, indexes, by_words).search("a", [store], Query("cat"))
    assert (refused.value.code, refused.value.retry_after_s) == ("vector_store_unavailable", 60.0)
    assert "headrace index rebuild" in caplog.text
    house.library.close()
