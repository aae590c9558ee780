import sqlite3
import threading
from pathlib import Path

import pytest

from headrace.contracts.errors import Overloaded, StoreError
from headrace.retrieval.library import database
from headrace.retrieval.library.database import Database

STEPS = (("CREATE TABLE t (x INTEGER) STRICT",),)


def rows(file: Database) -> list[int]:
    with file.read() as connection:
        return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]


def test_it_is_made_at_first_use_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = Database(tmp_path / "a" / "b.sqlite", STEPS)
    assert not file.path.parent.exists()
    assert rows(file) == []
    assert file.path.parent.stat().st_mode & 0o077 == 0
    file.close()


def test_a_transaction_is_all_there_or_not_at_all(tmp_path: Path) -> None:
    file = Database(tmp_path / "b.sqlite", STEPS)
    with file.write() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(StoreError), file.write() as connection:
        connection.executescript("SAVEPOINT a; INSERT INTO t VALUES (2); INSERT INTO t VALUES ('text')")
    assert rows(file) == [1]
    file.close()


def test_a_reader_sees_one_state_while_a_writer_writes(tmp_path: Path) -> None:
    file = Database(tmp_path / "b.sqlite", STEPS)
    with file.write() as writing:
        writing.execute("INSERT INTO t VALUES (1)")
        assert rows(file) == []
    assert rows(file) == [1]
    file.close()


def test_writers_on_many_threads_take_turns(tmp_path: Path) -> None:
    file = Database(tmp_path / "b.sqlite", STEPS)

    def work(start: int) -> None:
        for x in range(start, start + 20):
            with file.write() as connection:
                connection.execute("INSERT INTO t VALUES (?)", (x,))
            rows(file)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 100, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(file) == list(range(100))
    file.close()


def test_later_steps_are_taken_once(tmp_path: Path) -> None:
    Database(tmp_path / "b.sqlite", STEPS).close()
    first = Database(tmp_path / "b.sqlite", STEPS)
    with first.write() as connection:
        connection.execute("INSERT INTO t VALUES (7)")
    first.close()
    for _ in range(2):
        second = Database(tmp_path / "b.sqlite", (*STEPS, ("ALTER TABLE t ADD COLUMN y TEXT",)))
        with second.read() as connection:
            assert connection.execute("SELECT x, y FROM t").fetchall() == [(7, None)]
        second.close()


def test_a_file_of_a_newer_headrace_is_refused_and_left_alone(tmp_path: Path) -> None:
    newer = Database(tmp_path / "b.sqlite", (*STEPS, ("CREATE TABLE u (x TEXT)",)))
    rows(newer)
    newer.close()
    with pytest.raises(StoreError, match="newer headrace"):
        rows(Database(tmp_path / "b.sqlite", STEPS))


def test_a_damaged_file_is_told_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "b.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="damaged; put a backup"):
        rows(Database(tmp_path / "b.sqlite", STEPS))


def test_a_folder_that_cannot_be_made_is_told_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"retrieval\.folder"):
        rows(Database(tmp_path / "file" / "b.sqlite", STEPS))


def test_a_file_that_another_process_holds_too_long_is_told_as_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 20)
    file = Database(tmp_path / "b.sqlite", STEPS)
    rows(file)
    other = sqlite3.connect(tmp_path / "b.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Overloaded, match="busy"), file.write():
        pass
    other.rollback()
    other.close()
    file.close()


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    file = Database(tmp_path / "b.sqlite", STEPS)
    with file.write() as connection:
        connection.execute("PRAGMA max_page_count = 4")
    with pytest.raises(Overloaded, match="no room left") as refused, file.write() as connection:
        connection.execute("CREATE TABLE big AS SELECT zeroblob(100000) AS x")
    assert refused.value.code == "storage_full"
    assert rows(file) == []
    file.close()
