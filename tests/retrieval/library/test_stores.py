from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, NotFound
from headrace.retrieval.library.paging import PageAsk
from headrace.retrieval.library.records import Counts, NewMember
from headrace.retrieval.library.stores import TOUCH_S, Changes
from tests.support.stores import Clock, library_in

DAY_S = 86_400


def test_a_store_is_its_tenants_and_nobody_elses(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store = library.stores.create("a", "zoo", description="of animals", metadata={"team": "x"}, expire_days=3)
    assert library.stores.get("a", store.id) == store
    assert (store.name, store.metadata, store.expire_days) == ("zoo", {"team": "x"}, 3)
    assert library.stores.named("a", "zoo") == store
    assert library.stores.named("b", "zoo") is None
    with pytest.raises(NotFound):
        library.stores.get("b", store.id)
    with pytest.raises(NotFound):
        library.stores.update("b", store.id, Changes(name="mine"))
    with pytest.raises(NotFound):
        library.stores.touch("b", store.id)
    with pytest.raises(NotFound):
        library.stores.leave("b", store.id)
    assert library.stores.page("b", PageAsk()).items == ()
    library.close()


def test_a_store_with_a_file_that_is_not_the_tenants_is_not_made_at_all(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    mine, theirs = library.files.keep("a", "a", b"a"), library.files.keep("b", "b", b"b")
    with pytest.raises(NotFound) as refused:
        library.stores.create("a", files=[NewMember(mine.id), NewMember(theirs.id)])
    assert refused.value.param == "file_ids[1]"
    assert library.stores.page("a", PageAsk()).items == ()
    library.close()


def test_a_name_that_two_stores_bear_names_neither(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    for _ in range(2):
        library.stores.create("a", "zoo")
    with pytest.raises(InvalidRequest, match="several"):
        library.stores.named("a", "zoo")
    library.close()


def test_a_page_counts_what_is_in_each_store(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    file = library.files.keep("a", "a", b"a")
    full, empty = library.stores.create("a", files=[NewMember(file.id)]), library.stores.create("a")
    page = library.stores.page("a", PageAsk(1))
    assert (page.items, page.has_more) == ((empty,), True)
    (found,) = library.stores.page("a", PageAsk(1, after=empty.id)).items
    assert (found.id, found.counts) == (full.id, Counts(in_progress=1))
    with pytest.raises(InvalidRequest, match="'before'"):
        library.stores.page("b", PageAsk(before=full.id))
    library.close()


def test_only_what_is_named_changes(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store = library.stores.create("a", "zoo", metadata={"k": "v"}, expire_days=3)
    assert library.stores.update("a", store.id, Changes()) == store
    assert library.stores.update("a", store.id, Changes(name="farm")).name == "farm"
    changed = library.stores.update("a", store.id, Changes(metadata={}, expire_days=None))
    assert (changed.name, changed.metadata, changed.expire_days, changed.expires) == ("farm", {}, None, None)
    library.close()


def test_use_puts_the_expiry_off_and_is_written_once_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    library = library_in(tmp_path, now=clock)
    store = library.stores.create("a", expire_days=1)
    clock.now += TOUCH_S - 1
    library.stores.touch("a", store.id)
    assert library.stores.get("a", store.id).last_active == store.last_active
    clock.now += 1
    library.stores.touch("a", store.id)
    assert library.stores.get("a", store.id).last_active == int(clock.now)
    library.close()


def test_an_expired_store_is_shown_and_refused_and_lets_its_files_go(tmp_path: Path) -> None:
    clock = Clock()
    library = library_in(tmp_path, now=clock)
    file = library.files.keep("a", "a", b"a")
    store = library.stores.create("a", expire_days=1, files=[NewMember(file.id)])
    assert library.stores.empty_expired() == []
    clock.now += DAY_S
    assert library.stores.get("a", store.id).is_expired(clock.now)
    for use in (
        lambda: library.stores.touch("a", store.id),
        lambda: library.stores.update("a", store.id, Changes(expire_days=9)),
        lambda: library.shelves.add("a", store.id, NewMember(file.id)),
        lambda: library.shelves.add_batch("a", store.id, [NewMember(file.id)]),
    ):
        with pytest.raises(InvalidRequest, match="expired after 1 days"):
            use()
    assert library.stores.empty_expired() == [store.id]
    assert library.stores.empty_expired() == [store.id]
    library.stores.emptied(store.id)
    assert library.stores.empty_expired() == []
    assert library.stores.get("a", store.id).counts.total == 0
    assert library.files.get("a", file.id) == file
    library.close()


def test_a_store_that_leaves_is_hidden_until_it_is_gone_with_its_files(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    file = library.files.keep("a", "a", b"a")
    first = library.stores.create("a")
    store = library.stores.create("a", files=[NewMember(file.id)])
    library.stores.gone(store.id)
    assert library.stores.get("a", store.id) == store
    library.stores.leave("a", store.id)
    with pytest.raises(NotFound):
        library.stores.get("a", store.id)
    assert library.stores.leaving() == [store.id]
    assert library.backlog.waiting(10) == []
    library.stores.gone(store.id)
    assert library.stores.leaving() == []
    assert library.stores.page("a", PageAsk(after=store.id)).items == (first,)
    assert library.files.leave("a", file.id) == []
    library.close()
