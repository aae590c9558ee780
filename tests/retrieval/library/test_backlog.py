from pathlib import Path

from headrace.retrieval.library.backlog import GONE_FOR_S
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import Chunking, LastError, NewMember
from tests.support.stores import Clock, library_in


def waiting(library: Library, tenant: str, files: int) -> str:
    made = [library.files.keep(tenant, f"{n}", b"a") for n in range(files)]
    return library.stores.create(tenant, files=[NewMember(file.id, {"n": 1}, Chunking(300, 30)) for file in made]).id


def test_tenants_take_turns_however_much_one_of_them_has(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    waiting(library, "busy", 6)
    waiting(library, "late", 2)
    order = [work.file.tenant for work in library.backlog.waiting(10)]
    assert order == ["busy", "late", "busy", "late", "busy", "busy", "busy", "busy"]
    assert library.backlog.length() == 8
    library.close()


def test_what_has_begun_is_not_given_out_again(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    waiting(library, "a", 3)
    first, *rest = library.backlog.waiting(3)
    assert (first.attributes, first.chunking) == ({"n": 1}, Chunking(300, 30))
    assert library.backlog.waiting(3, [first.turn]) == rest
    library.close()


def test_a_late_result_of_an_earlier_turn_changes_nothing(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    store = waiting(library, "a", 1)
    (early,) = library.backlog.waiting(1)
    library.shelves.add("a", store, NewMember(early.file.id, {"n": 2}))
    assert library.backlog.wanted(early) is None
    assert not library.backlog.finish(early, 5)
    assert not library.backlog.fail(early, LastError("server_error", "x"))
    (late,) = library.backlog.waiting(1)
    assert library.backlog.wanted(late) == {"n": 2}
    assert library.backlog.finish(late, 5)
    assert library.shelves.get("a", store, late.file.id).bytes == 5
    library.close()


def test_where_gone_objects_stood_is_remembered_for_a_day(tmp_path: Path) -> None:
    clock = Clock()
    library = library_in(tmp_path, now=clock)
    file = library.files.keep("a", "a", b"a")
    library.files.leave("a", file.id)
    library.files.gone(file.id)

    def remembered() -> int:
        with library._database.read() as connection:
            return int(connection.execute("SELECT count(*) FROM gone").fetchone()[0])

    clock.now += GONE_FOR_S
    library.backlog.forget_gone()
    assert remembered() == 1
    clock.now += 1
    library.backlog.forget_gone()
    assert remembered() == 0
    library.close()
