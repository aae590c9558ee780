from pathlib import Path

import pytest

from headrace.contracts.errors import NotFound
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.paging import PageAsk
from headrace.retrieval.library.records import Counts, LastError, NewMember
from headrace.retrieval.library.shelves import Shown
from tests.support.stores import library_in


def filled(library: Library, files: int = 3) -> tuple[str, list[str]]:
    made = [library.files.keep("a", f"{n}.txt", b"a").id for n in range(files)]
    return library.stores.create("a").id, made


def test_a_batch_counts_its_files_as_they_go(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store, files = filled(library)
    batch = library.shelves.add_batch("a", store, [NewMember(file) for file in files])
    assert (batch.counts, batch.status) == (Counts(in_progress=3), "in_progress")
    first, second, _ = library.backlog.waiting(3)
    library.backlog.finish(first, 10)
    library.backlog.fail(second, LastError("invalid_file", "the file is broken"))
    cancelled = library.shelves.cancel("a", store, batch.id)
    assert cancelled.counts == Counts(completed=1, failed=1, cancelled=1)
    assert (cancelled.status, library.shelves.batch("a", store, batch.id)) == ("cancelled", cancelled)
    assert library.shelves.cancel("a", store, batch.id) == cancelled
    failed = library.shelves.page("a", store, PageAsk(), status="failed", batch=batch.id)
    assert [item.error for item in failed.items] == [LastError("invalid_file", "the file is broken")]
    library.close()


def test_a_batch_that_is_done_is_not_cancelled_any_more(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store, files = filled(library, 1)
    batch = library.shelves.add_batch("a", store, [NewMember(files[0])])
    library.backlog.finish(library.backlog.waiting(1)[0], 1)
    assert library.shelves.cancel("a", store, batch.id).status == "completed"
    library.close()


def test_nothing_of_a_store_is_anothers(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store, files = filled(library)
    own = library.stores.create("b").id
    theirs = library.files.keep("b", "b", b"b").id
    batch = library.shelves.add_batch("a", store, [NewMember(files[0])]).id
    shelves = library.shelves
    for attempt in (
        lambda: shelves.add("b", store, NewMember(theirs)),
        lambda: shelves.add("b", own, NewMember(files[0])),
        lambda: shelves.add_batch("b", store, [NewMember(theirs)]),
        lambda: shelves.adopt("b", store, NewMember(theirs), 1),
        lambda: shelves.adopt("b", own, NewMember(files[0]), 1),
        lambda: shelves.get("b", store, files[0]),
        lambda: shelves.page("b", store, PageAsk()),
        lambda: shelves.page("b", own, PageAsk(), batch=batch),
        lambda: shelves.annotate("b", store, files[0], {}),
        lambda: shelves.leave("b", store, files[0]),
        lambda: shelves.batch("b", store, batch),
        lambda: shelves.batch("b", own, batch),
        lambda: shelves.cancel("b", store, batch),
        lambda: shelves.cancel("b", own, batch),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert shelves.get("a", store, files[0]).status == "in_progress"
    library.close()


def test_a_search_shows_what_is_ingested_with_its_attributes_of_now(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store, files = filled(library)
    library.shelves.add("a", store, NewMember(files[0], {"v": 1}))
    assert library.shelves.shown(store, files) == {}
    library.backlog.finish(library.backlog.waiting(1)[0], 1)
    library.shelves.adopt("a", store, NewMember(files[1]), 7)
    library.shelves.annotate("a", store, files[0], {"v": 2})
    assert library.shelves.shown(store, files) == {files[0]: Shown("0.txt", {"v": 2}), files[1]: Shown("1.txt", {})}
    library.shelves.leave("a", store, files[0])
    assert list(library.shelves.shown(store, files)) == [files[1]]
    assert library.stores.get("a", store).bytes == 7
    library.close()


def test_a_file_that_comes_again_while_it_leaves_stays(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store, files = filled(library)
    library.shelves.add("a", store, NewMember(files[0]))
    leaving = library.shelves.leave("a", store, files[0])
    assert library.backlog.is_leaving(leaving)
    library.shelves.add("a", store, NewMember(files[0]))
    assert not library.backlog.is_leaving(leaving)
    library.shelves.gone(leaving)
    assert library.shelves.get("a", store, files[0]).status == "in_progress"
    library.close()
