from pathlib import Path

from headrace.retrieval.library.library import Library


def test_nothing_is_on_disk_until_something_is_kept(tmp_path: Path) -> None:
    library = Library(tmp_path / "retrieval")
    assert not library.exists
    assert not library.folder.exists()
    library.files.keep("a", "a.txt", b"a")
    assert library.exists
    assert library.collection("vs_1") == tmp_path / "retrieval" / "collections" / "vs_1"
    library.close()


def test_two_libraries_of_one_folder_see_the_same(tmp_path: Path) -> None:
    one, other = Library(tmp_path), Library(tmp_path)
    record = one.files.keep("a", "a.txt", b"a")
    assert other.files.get("a", record.id) == record
    assert other.files.path(record).read_bytes() == b"a"
    one.close()
    other.close()
