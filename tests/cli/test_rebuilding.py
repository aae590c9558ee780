"""What a gateway does to a collection while it is built anew: nothing of it is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from headrace.cli.filling import Failure, Tally
from headrace.cli.place import TENANT, Place
from headrace.cli.rebuilding import FEW, ROUNDS, rebuild
from headrace.cli.shelf import LibraryShelf, StagedShelf
from headrace.contracts.errors import Overloaded
from headrace.contracts.retrieval import Chunk, Document, Index
from headrace.models.store.store import HOME_VARIABLE
from headrace.retrieval.chunk.sizes import AUTO
from headrace.retrieval.collection.open import IndexOptions, open_index
from headrace.retrieval.ingest.job import Step
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.sources import Source
from headrace.retrieval.library.records import NewMember
from tests.cli.test_shelf import VECTOR, prepared
from tests.support.library import publish_embedder

Meanwhile = Callable[[int], None]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    publish_embedder(tmp_path / "home")
    found = Place.of(None)
    return Place(found.library, IndexOptions(wait_s=0.05), found.model, found.folder, found.home)


@pytest.fixture
def store(place: Place) -> str:
    made: str = place.library.stores.create(TENANT, "s").id
    return made


@pytest.fixture
def index(place: Place, store: str) -> Iterator[Index]:
    """The index that a gateway has open."""
    with place.index(store, create=True) as opened:
        yield opened


def add(place: Place, store: str, index: Index, text: str) -> str:
    before = {info.id for info in index.documents()}
    LibraryShelf(place, store, index, AUTO).keep(prepared(text), ())
    return next(info.id for info in index.documents() if info.id not in before)


def rebuilt(place: Place, store: str, meanwhile: Meanwhile) -> Tally:
    """Rebuild; `meanwhile` is told the number of each round after it was filled."""
    staged = open_index(place.library.collection(f"{store}.new"), place.embedder, create=True)
    shelf, rounds = StagedShelf(staged), iter(range(ROUNDS + 2))

    def fill(source: Source) -> Tally:
        tally = Tally()
        for item in source.items:
            text = item.read(Limits()).decode()
            one = msgspec.structs.replace(prepared(text, item.document), attributes=item.attributes)
            shelf.keep(one, ())
            tally.count(Step(item.name, "added"))
        meanwhile(next(rounds))
        return tally

    return rebuild(place, store, staged, fill)


def texts(place: Place, store: str) -> set[str | None]:
    with place.index(store) as index:
        return {index.text(info.id) for info in index.documents()}


def test_what_is_uploaded_meanwhile_is_in_and_what_is_removed_is_out(place: Place, store: str, index: Index) -> None:
    cat, _ = add(place, store, index, "cat"), add(place, store, index, "dog")

    def gateway(turn: int) -> None:
        if turn == 0:
            add(place, store, index, "tax")
            LibraryShelf(place, store, index, AUTO).remove(cat)

    assert rebuilt(place, store, gateway).added == 3
    assert texts(place, store) == {"dog", "tax"}
    assert not place.library.collection(f"{store}.new").exists()


def test_a_note_made_meanwhile_is_kept(place: Place, store: str, index: Index) -> None:
    cat = add(place, store, index, "cat")

    def gateway(_: int) -> None:
        place.library.shelves.annotate(TENANT, store, cat, {"year": 2024})
        index.annotate(cat, {"year": 2024})

    rebuilt(place, store, gateway)
    with place.index(store) as fresh:
        assert [info.attributes for info in fresh.documents()] == [{"year": 2024}]


def test_many_uploads_are_brought_over_before_writers_wait(place: Place, store: str, index: Index) -> None:
    add(place, store, index, "cat")

    def gateway(turn: int) -> None:
        for number in range(2 * FEW if turn == 0 else 0):
            add(place, store, index, f"upload {number}")

    assert rebuilt(place, store, gateway).added == 1 + 2 * FEW
    assert len(texts(place, store)) == 1 + 2 * FEW


def test_a_document_that_is_in_but_not_yet_said_to_be_is_brought_over(place: Place, store: str, index: Index) -> None:
    add(place, store, index, "cat")
    file = place.library.files.keep(TENANT, "w.txt", b"w")
    place.library.shelves.add(TENANT, store, NewMember(file.id))

    def gateway(turn: int) -> None:
        if turn == 0:
            index.put(Document(file.id, "w.txt", "0" * 64, "w", (Chunk("w", 0, 1, 1),)), (VECTOR,))

    rebuilt(place, store, gateway)
    assert texts(place, store) == {"cat", "w"}


def test_writers_wait_in_the_last_round_and_find_the_new_index_after_it(place: Place, store: str, index: Index) -> None:
    add(place, store, index, "cat")
    refused = []

    def gateway(turn: int) -> None:
        if turn == 0:
            add(place, store, index, "dog")
            return
        with place.index(store) as other, pytest.raises(Overloaded, match="is being written"):
            add(place, store, other, "tax")
        refused.append(turn)

    rebuilt(place, store, gateway)
    assert refused == [1]
    add(place, store, index, "late")
    assert texts(place, store) == {"cat", "dog", "late"}


def test_one_that_fails_leaves_all_as_it_was(place: Place, store: str, index: Index) -> None:
    add(place, store, index, "cat")
    staged = open_index(place.library.collection(f"{store}.new"), place.embedder, create=True)
    failure = Failure("a.txt", "invalid_file", "torn")
    tally = rebuild(place, store, staged, lambda _: Tally(failed=[failure]))
    staged.close()
    assert tally.failed == [failure]
    assert texts(place, store) == {"cat"}


def test_a_damaged_index_is_replaced(place: Place, store: str, index: Index) -> None:
    add(place, store, index, "cat")
    index.close()
    for path in place.library.collection(store).glob("collection.sqlite*"):
        path.write_bytes(b"rubbish" * 1000)
    rebuilt(place, store, lambda _: None)
    assert texts(place, store) == {"cat"}
