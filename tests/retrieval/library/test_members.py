from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, NotFound
from headrace.retrieval.library import members
from headrace.retrieval.library.paging import PageAsk
from headrace.retrieval.library.records import Chunking, NewMember
from tests.support.stores import library_in


def test_attributes_come_back_as_they_were() -> None:
    attributes = {"text": "\u00e9 \u30ec", "whole": 2024, "part": 0.5, "yes": True}
    back = members.decode(members.encode(attributes))
    assert back == attributes
    assert [type(value) for value in back.values()] == [str, int, float, bool]


def test_a_row_keeps_everything_of_a_file_in_a_store(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    file = library.files.keep("a", "a.txt", b"a")
    store = library.stores.create("a", files=[NewMember(file.id, {"year": 2024}, Chunking(800, 400))])
    member = library.shelves.get("a", store.id, file.id)
    assert (member.store, member.file, member.status, member.error) == (store.id, file.id, "in_progress", None)
    assert (member.attributes, member.chunking, member.batch) == ({"year": 2024}, Chunking(800, 400), None)
    library.close()


def test_a_store_has_so_many_files_at_most_and_a_request_over_it_changes_nothing(tmp_path: Path) -> None:
    library = library_in(tmp_path, store_files=2)
    made = [library.files.keep("a", f"{n}", b"a").id for n in range(3)]
    store = library.stores.create("a", files=[NewMember(made[0])])
    with pytest.raises(InvalidRequest, match="would hold 3 files"):
        library.shelves.add_batch("a", store.id, [NewMember(file) for file in made[1:]])
    assert [item.file for item in library.shelves.page("a", store.id, PageAsk()).items] == [made[0]]
    library.shelves.add("a", store.id, NewMember(made[1]))
    library.shelves.add("a", store.id, NewMember(made[1]))
    library.close()


def test_a_cursor_names_a_file_of_this_store(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    made = [library.files.keep("a", f"{n}", b"a").id for n in range(3)]
    store = library.stores.create("a", files=[NewMember(file) for file in made])
    other = library.stores.create("a")
    leaving = library.shelves.leave("a", store.id, made[1])
    library.shelves.gone(leaving)
    assert [item.file for item in library.shelves.page("a", store.id, PageAsk(after=made[1])).items] == [made[0]]
    with pytest.raises(InvalidRequest, match="no file of this vector store"):
        library.shelves.page("a", other.id, PageAsk(after=made[0]))
    library.close()


def test_a_file_that_is_not_in_the_store_is_not_found(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    file, store = library.files.keep("a", "a", b"a"), library.stores.create("a")
    with pytest.raises(NotFound, match="is in the vector store"):
        library.shelves.get("a", store.id, file.id)
    library.close()
