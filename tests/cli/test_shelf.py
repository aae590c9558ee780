import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.place import TENANT, Place
from headrace.cli.shelf import LibraryShelf, StagedShelf, kept_files
from headrace.contracts.retrieval import Chunk, Converted, Document
from headrace.models.store.store import HOME_VARIABLE
from headrace.retrieval.chunk.sizes import AUTO
from headrace.retrieval.ingest.job import PATH, Prepared
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.library.records import NewMember
from tests.support.library import publish_embedder

VECTOR = b"\x00\x00\x80\x3f" + b"\x00" * 12
KILLS = 50


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    publish_embedder(tmp_path / "home")
    return Place.of(None)


def prepared(text: str, document: str = "") -> Prepared:
    converted = Converted("a.txt", "0" * 64, text)
    chunk = Chunk(text, 0, len(text), 1)
    return Prepared(text.encode(), converted, (chunk,), (VECTOR,), {PATH: "a.txt"}, document)


def test_a_document_is_a_file_of_the_tenant_and_leaves_with_it(place: Place) -> None:
    store = place.library.stores.create(TENANT, "s").id
    with place.index(store, create=True) as index:
        shelf = LibraryShelf(place, store, index, AUTO)
        shelf.keep(prepared("cat"), ())
        (info,) = shelf.documents()
        shelf.keep(prepared("dog"), (info.id,))
        (fresh,) = shelf.documents()
        assert fresh.id != info.id
        assert [member.file for member in place.members(store)] == [fresh.id]
        assert index.text(fresh.id) == "dog"
        shelf.remove(fresh.id)
        assert list(shelf.documents()) == []
    assert list((place.library.folder / "files").iterdir()) == []


def test_a_file_that_is_in_another_store_too_waits_for_that_one(place: Place) -> None:
    first, second = (place.library.stores.create(TENANT, name).id for name in ("s", "t"))
    with place.index(first, create=True) as index:
        shelf = LibraryShelf(place, first, index, AUTO)
        shelf.keep(prepared("cat"), ())
        (info,) = shelf.documents()
        place.library.shelves.adopt(TENANT, second, NewMember(info.id), 1)
        shelf.remove(info.id)
    assert [leaving.store for leaving in place.library.backlog.leaving()] == [second]


def test_what_a_killed_run_left_unseen_goes_and_the_work_of_others_stays(place: Place) -> None:
    store = place.library.stores.create(TENANT, "s").id
    with place.index(store, create=True) as index:
        waiting = place.library.files.keep(TENANT, "w.txt", b"w")
        place.library.shelves.add(TENANT, store, NewMember(waiting.id))
        chunk = Chunk("w", 0, 1, 1)
        for name in ("file-orphan", waiting.id):
            index.put(Document(name, "x", "0" * 64, "w", (chunk,)), (VECTOR,))
        assert list(LibraryShelf(place, store, index, AUTO).documents()) == []
        assert [info.id for info in index.documents()] == [waiting.id]


def test_a_staged_index_keeps_ids_and_reads_what_is_kept(place: Place) -> None:
    store = place.library.stores.create(TENANT, "s").id
    with place.index(store, create=True) as index:
        shelf = LibraryShelf(place, store, index, AUTO)
        shelf.keep(prepared("cat"), ())
        (info,) = shelf.documents()
        (item,) = kept_files(place, store).items
        assert (item.name, item.document, item.read(Limits())) == ("a.txt", info.id, b"cat")
        staged = StagedShelf(index)
        assert list(staged.documents()) == []
        staged.keep(prepared("dog", "file-1"), (info.id,))
        assert [one.id for one in index.documents()] == ["file-1"]


@pytest.mark.usefixtures("place")
def test_an_ingest_killed_at_50_points_loses_nothing_and_shows_nothing_half(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(12):
        (docs / f"{number:02}.txt").write_text(f"Document {number}. " + "Some words to cut. " * 40)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_ingest", str(docs), str(KILLS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    names = [f"{number:02}.txt" for number in range(12)]
    assert outcome == {"hits": KILLS, "documents": names, "shown": names}
