import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, NotFound, PayloadTooLarge
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.paging import PageAsk
from headrace.retrieval.library.records import FileRecord, NewMember
from tests.support.stores import Clock, library_in


def blobs(library: Library) -> list[str]:
    return sorted(path.name for path in (library.folder / "files").iterdir())


def test_a_file_is_its_tenants_and_nobody_elses(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    record = library.files.keep("a", "../notes.txt", b"notes")
    assert library.files.get("a", record.id) == record
    assert (record.name, record.bytes, record.purpose) == ("notes.txt", 5, "assistants")
    assert library.files.path(record).read_bytes() == b"notes"
    for other in ("b", "", "A"):
        with pytest.raises(NotFound, match="no file"):
            library.files.get(other, record.id)
        assert library.files.page(other, PageAsk()).items == ()
    library.close()


def test_the_same_content_of_two_tenants_is_one_blob_that_the_last_one_takes_along(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    one, other = library.files.keep("a", "a.txt", b"same"), library.files.keep("b", "b.txt", b"same")
    assert blobs(library) == [one.sha256]
    library.files.leave("a", one.id)
    library.files.gone(one.id)
    assert library.files.path(other).read_bytes() == b"same"
    library.files.leave("b", other.id)
    library.files.gone(other.id)
    assert blobs(library) == []
    library.close()


def test_an_empty_file_and_one_over_the_limit_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    library = library_in(tmp_path, file_bytes=10)
    with pytest.raises(InvalidRequest, match="empty"):
        library.files.keep("a", "a.txt", b"")
    with pytest.raises(PayloadTooLarge, match="10 bytes"):
        library.files.keep("a", "a.txt", b"x" * 11)
    assert list((tmp_path / "incoming").iterdir()) == []
    library.close()


def test_a_tenant_has_so_much_room_and_another_one_has_its_own(tmp_path: Path) -> None:
    library = library_in(tmp_path, tenant_bytes=10)
    library.files.keep("a", "a.txt", b"x" * 8)
    with pytest.raises(PayloadTooLarge, match="would take 11 bytes") as refused:
        library.files.keep("a", "b.txt", b"yyy")
    assert refused.value.code == "storage_quota_exceeded"
    library.files.keep("b", "a.txt", b"x" * 8)
    library.close()


def test_a_list_is_the_newest_first_by_purpose_and_page(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    made = [library.files.keep("a", f"{n}.txt", b"x", "user_data" if n % 2 else "assistants").id for n in range(6)]
    page = library.files.page("a", PageAsk(4))
    assert ([item.id for item in page.items], page.has_more) == (made[:1:-1], True)
    page = library.files.page("a", PageAsk(4, after=made[2]))
    assert ([item.id for item in page.items], page.has_more) == ([made[1], made[0]], False)
    odd = library.files.page("a", PageAsk(4), "user_data")
    assert [item.id for item in odd.items] == [made[5], made[3], made[1]]
    library.close()


def test_a_cursor_is_of_the_same_tenant_and_may_be_gone_already(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    made = [library.files.keep("a", f"{n}.txt", b"x").id for n in range(3)]
    library.files.leave("a", made[1])
    library.files.gone(made[1])
    assert [item.id for item in library.files.page("a", PageAsk(after=made[1])).items] == [made[0]]
    for tenant, cursor in (("b", made[0]), ("b", made[1]), ("a", "file-nobody")):
        with pytest.raises(InvalidRequest) as refused:
            library.files.page(tenant, PageAsk(after=cursor))
        assert refused.value.param == "after"
    library.close()


def test_a_file_that_expires_is_hidden_at_once_and_leaves_with_the_next_sweep(tmp_path: Path) -> None:
    clock = Clock()
    library = library_in(tmp_path, now=clock)
    with library.files.begin() as upload:
        upload.write(b"short-lived")
        record = library.files.publish(upload, "a", "a.txt", "user_data", 3600)
    assert record.expires == record.created + 3600
    store = library.stores.create("a", files=[NewMember(record.id)])
    assert library.files.leave_expired() == []
    clock.now += 3600
    with pytest.raises(NotFound):
        library.files.get("a", record.id)
    assert library.files.page("a", PageAsk()).items == ()
    assert library.files.leave_expired() == [record.id]
    (leaving,) = library.backlog.leaving()
    assert (leaving.store, leaving.file) == (store.id, record.id)
    library.files.gone(record.id)
    assert blobs(library) == [record.sha256]
    library.shelves.gone(leaving)
    assert library.files.leave_expired() == [record.id]
    library.files.gone(record.id)
    assert blobs(library) == []
    library.close()


def test_uploads_and_deletes_of_the_same_content_at_once_lose_nothing(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    kept: list[FileRecord] = []

    def work(tenant: str) -> None:
        for turn in range(8):
            record = library.files.keep(tenant, "a.txt", b"the same bytes")
            if turn % 2:
                library.files.leave(tenant, record.id)
                library.files.gone(record.id)
            else:
                kept.append(record)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 16
    assert all(library.files.path(record).read_bytes() == b"the same bytes" for record in kept)
    library.close()


KILLED = """
import sys
from pathlib import Path
from headrace.retrieval.library.library import Library
library = Library(Path(sys.argv[1]))
for turn in range(100_000):
    print(library.files.keep("a", f"{turn}.txt", f"content {turn}".encode() * 2_000).id, flush=True)
"""


@pytest.mark.parametrize("after", [1, 3, 8])
def test_after_a_kill_everything_acknowledged_is_there_and_nothing_is_half_there(tmp_path: Path, after: int) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.kill()
        told = process.stdout.read().splitlines()
    library = Library(tmp_path)
    library.files.sweep()
    records = library.files.page("a", PageAsk(10_000)).items
    assert {file for file in told if len(file) == len(records[0].id)} <= {record.id for record in records}
    assert len(records) >= after
    for record in records:
        turn = record.name.removesuffix(".txt")
        assert library.files.path(record).read_bytes() == f"content {turn}".encode() * 2_000
    assert blobs(library) == sorted(record.sha256 for record in records)
    assert list((tmp_path / "incoming").iterdir()) == []
    library.close()
