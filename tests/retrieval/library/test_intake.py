import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from headrace.contracts.errors import (
    BackendUnavailable,
    EngineError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    StoreError,
)
from headrace.contracts.retrieval import Chunk, Document
from headrace.retrieval.library import intake as module
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.intake import Intake, Prepared, why
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import NewMember, Status, Work
from headrace.retrieval.library.shelf import FolderShelf
from tests.support.gateway import until
from tests.support.stores import EMBEDDER

VECTOR = b"\x00\x00\x80\x3f" + b"\x00" * 4 * (EMBEDDER.dimensions - 1)


class ScriptedPreparer:
    """Makes one passage of a file; waits while its gate is closed, and fails for files whose bytes say so."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun: list[str] = []
        self.is_closed = False

    async def prepare(self, work: Work, path: Path) -> Prepared:
        self.begun.append(work.file.id)
        await self.gate.wait()
        text = await asyncio.to_thread(path.read_text)
        if text == "broken":
            raise InvalidRequest("is broken; save it again", code="invalid_file")
        if text == "bug":
            raise RuntimeError(path)
        document = Document(work.file.id, work.file.name, work.file.sha256, text, (Chunk(text, 0, len(text), 1),))
        return Prepared(document, [VECTOR])

    async def close(self) -> None:
        self.is_closed = True


class House:
    """A library and its worker with two scripted preparers."""

    def __init__(self, folder: Path) -> None:
        self.library = Library(folder)
        self.indexes = OpenIndexes(FolderShelf(self.library.collection, lambda: EMBEDDER))
        self.keeper = Keeper(self.library, self.indexes)
        self.preparers = [ScriptedPreparer(), ScriptedPreparer()]
        self.told: list[str] = []
        self.intake = Intake(self.library, self.indexes, self.keeper, self.preparers, self.told.append)

    def gate(self, *, is_open: bool) -> None:
        for preparer in self.preparers:
            preparer.gate.set() if is_open else preparer.gate.clear()

    def add(self, *texts: str, tenant: str = "a") -> tuple[str, list[str]]:
        files = [self.library.files.keep(tenant, f"{text}.txt", text.encode()).id for text in texts]
        store = self.library.stores.create(tenant, files=[NewMember(file) for file in files]).id
        self.intake.wake()
        return store, files

    def has(self, store: str, file: str, status: Status, tenant: str = "a") -> Callable[[], bool]:
        return lambda: self.library.shelves.get(tenant, store, file).status == status

    async def found(self, store: str, text: str) -> int:
        async with self.indexes.reading(store) as index:
            return 0 if index is None else len(index.lexical(text, 10))

    async def close(self) -> None:
        self.gate(is_open=True)
        await self.intake.stop()
        await self.indexes.close()
        self.library.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "retrieval")
    house.intake.start()
    yield house
    await house.close()


async def test_what_waits_is_ingested_and_shown(house: House) -> None:
    store, files = house.add("cat", "dog")
    for file in files:
        await until(house.has(store, file, "completed"))
    assert await house.found(store, "cat") == 1
    assert house.library.stores.get("a", store).bytes == 2 * (3 + 16)
    await until(lambda: house.intake.unfinished == 0)
    assert house.told == ["completed", "completed"]


async def test_as_many_run_at_once_as_there_are_preparers(house: House) -> None:
    house.gate(is_open=False)
    store, files = house.add("a", "b", "c", "d", "e")
    await until(lambda: house.intake.running == 2 and house.intake.unfinished == 5)
    house.gate(is_open=True)
    for file in files:
        await until(house.has(store, file, "completed"))
    assert sum(len(preparer.begun) for preparer in house.preparers) == 5


async def test_one_that_fails_says_why_and_the_rest_goes_on(house: House, caplog: pytest.LogCaptureFixture) -> None:
    store, files = house.add("broken", "bug", "cat")
    await until(house.has(store, files[2], "completed"))
    await until(house.has(store, files[0], "failed"))
    await until(house.has(store, files[1], "failed"))
    broken, bug = (house.library.shelves.get("a", store, file).error for file in files[:2])
    assert broken is not None
    assert (broken.code, broken.message) == ("invalid_file", "the file is broken; save it again")
    assert bug is not None
    assert (bug.code, str(house.library.folder) in bug.message) == ("server_error", False)
    (logged,) = [record.getMessage() for record in caplog.records]
    assert f"file {files[1]}" in logged
    assert "RuntimeError at prepare:" in logged
    assert str(house.library.folder) not in logged


async def test_a_batch_that_is_cancelled_stops_what_runs_and_what_waits(house: House) -> None:
    house.gate(is_open=False)
    files = [house.library.files.keep("a", f"{n}", f"cat {n}".encode()).id for n in range(4)]
    store = house.library.stores.create("a").id
    batch = house.library.shelves.add_batch("a", store, [NewMember(file) for file in files])
    house.intake.wake()
    await until(lambda: house.intake.running == 2)
    house.library.shelves.cancel("a", store, batch.id)
    house.intake.wake()
    await until(lambda: house.intake.running == 0)
    house.gate(is_open=True)
    later, others = house.add("dog")
    await until(house.has(later, others[0], "completed"))
    assert house.library.shelves.batch("a", store, batch.id).counts.cancelled == 4
    assert await house.found(store, "cat") == 0


async def test_a_file_deleted_while_it_is_ingested_leaves_nothing(house: House) -> None:
    house.gate(is_open=False)
    store, (file,) = house.add("cat")
    await until(lambda: house.intake.running == 1)
    await house.keeper.remove_file("a", file)
    house.gate(is_open=True)
    await until(lambda: house.intake.running == 0)
    assert await house.found(store, "cat") == 0
    assert house.library.stores.get("a", store).counts.total == 0
    assert list((house.library.folder / "files").iterdir()) == []


async def test_a_store_deleted_while_it_is_filled_leaves_nothing(house: House) -> None:
    house.gate(is_open=False)
    store, _ = house.add("cat", "dog", "bird")
    await until(lambda: house.intake.running == 2)
    await house.keeper.remove_store("a", store)
    house.gate(is_open=True)
    house.intake.wake()
    await until(lambda: house.intake.running == 0)
    assert not house.library.collection(store).exists()


async def test_attributes_changed_meanwhile_are_the_ones_that_are_kept(house: House) -> None:
    house.gate(is_open=False)
    store, (file,) = house.add("cat")
    await until(lambda: house.intake.running == 1)
    await house.keeper.annotate("a", store, file, {"team": "new"})
    house.gate(is_open=True)
    await until(house.has(store, file, "completed"))
    async with house.indexes.reading(store) as index:
        assert index is not None
        assert [dict(info.attributes) for info in index.documents()] == [{"team": "new"}]


async def test_what_a_stopped_process_left_is_taken_up_by_the_next(tmp_path: Path) -> None:
    first = House(tmp_path)
    first.intake.start()
    first.gate(is_open=False)
    store, files = first.add("cat", "dog", "bird")
    await until(lambda: first.intake.running == 2)
    await first.close()
    assert all(preparer.is_closed for preparer in first.preparers)
    (tmp_path / "incoming").mkdir(exist_ok=True)
    (tmp_path / "incoming" / "left.part").write_text("half")
    second = House(tmp_path)
    second.intake.start()
    for file in files:
        await until(second.has(store, file, "completed"))
    assert not (tmp_path / "incoming" / "left.part").exists()
    await second.close()


async def test_a_library_that_does_not_exist_is_not_made_by_waiting(house: House) -> None:
    house.intake.wake()
    await asyncio.sleep(0.05)
    assert not house.library.folder.exists()
    assert house.told == []


async def test_a_catalogue_that_fails_for_a_while_stops_nothing_for_good(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    failures = iter([Overloaded("busy"), OSError("disk")])
    waiting = house.library.backlog.waiting

    def failing(*asked: object) -> list[Work]:
        for failure in failures:
            raise failure
        return waiting(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(house.library.backlog, "waiting", failing)
    store, (file,) = house.add("cat")
    await until(house.has(store, file, "completed"))
    assert house.told[:2] == ["stalled", "stalled"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("has no text", code="unsupported_file"), "unsupported_file"),
        (InvalidRequest("is locked", code="password_protected"), "invalid_file"),
        (PayloadTooLarge("is large"), "invalid_file"),
        (Overloaded("/secret/path is full"), "server_error"),
        (BackendUnavailable("http://10.0.0.1"), "server_error"),
        (EngineError("down"), "server_error"),
        (StoreError("/secret/path is damaged"), "server_error"),
        (RuntimeError("/secret/path"), "server_error"),
    ],
)
def test_what_the_owner_is_told_names_no_place_of_this_machine(error: Exception, code: str) -> None:
    told = why(error)
    assert told.code == code
    assert "/secret" not in told.message
    assert "10.0.0.1" not in told.message
