import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from headrace.contracts.errors import NotFound, Overloaded, StoreError
from headrace.retrieval.collection.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "collection.sqlite"
    path.touch()
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path, name="handbook", wait_s=0.05)
    with database.writing() as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    yield database
    database.close()


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM numbers").fetchone()[0])


def test_a_write_is_all_there_or_not_at_all(database: Database) -> None:
    with pytest.raises(KeyError), database.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (1)").fetchall().append({}["missing"])
    assert count(database) == 0
    with database.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (1)")
    assert count(database) == 1


def test_a_commit_is_on_disk_before_it_is_acknowledged(database: Database) -> None:
    with database.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_readers_see_one_moment_and_never_wait_for_a_writer(database: Database) -> None:
    with database.reading() as early:
        assert early.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
        with database.writing() as connection:
            connection.execute("INSERT INTO numbers VALUES (1)")
            assert count(database) == 0
        assert early.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert count(database) == 1


def test_a_second_writer_waits_a_bounded_time_and_is_told(database: Database, path: Path) -> None:
    with FileLock(path.with_name("write.lock")):
        started = time.perf_counter()
        with pytest.raises(Overloaded, match=r"'handbook' is being written; waited 0\.05 s") as raised:
            database.writing().__enter__()
        assert time.perf_counter() - started < 2
        assert raised.value.retry_after_s == 0.05
    with database.writing():
        pass


def test_threads_of_one_database_take_turns_too(database: Database) -> None:
    refused: list[bool] = []

    def write() -> None:
        try:
            database.writing().__enter__()
        except Overloaded:
            refused.append(True)

    with database.writing():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert refused == [True]


def test_another_program_that_holds_the_file_is_named_as_such(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.retrieval.collection.database.BUSY_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database.close()
    fresh = Database(path, name="handbook", wait_s=0.05)
    with pytest.raises(Overloaded, match="locked by another program"):
        fresh.writing().__enter__()
    other.close()
    fresh.close()


def test_a_full_disk_keeps_nothing_of_the_change_and_says_so(database: Database) -> None:
    with database.writing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="no space left for collection 'handbook'"), database.writing() as connection:
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(100_000)])
    assert count(database) == 0
    with database.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (1)")
    assert count(database) == 1


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_named_as_such(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    database = Database(path, name="handbook", wait_s=0.05)
    with pytest.raises(StoreError, match="'handbook' is damaged"):
        database.reading().__enter__()
    database.close()


def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    database = Database(tmp_path / "none.sqlite", name="handbook", wait_s=0.05)
    with pytest.raises(NotFound, match="collection 'handbook' is gone"):
        database.reading().__enter__()
    assert not list(tmp_path.iterdir())


def filled(folder: Path, count: int) -> Database:
    folder.mkdir()
    database = Database(folder / "collection.sqlite", name="handbook", wait_s=0.05)
    database.path.touch()
    with database.writing() as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(count)])
    return database


def test_a_folder_put_in_its_place_is_read_from_then_on(tmp_path: Path) -> None:
    database = filled(tmp_path / "handbook", 1)
    filled(tmp_path / "staged", 3).close()
    with database.reading() as lent:
        assert lent.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
        (tmp_path / "handbook").rename(tmp_path / "replaced")
        (tmp_path / "staged").rename(tmp_path / "handbook")
        assert count(database) == 3
        assert lent.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
    with database.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (4)")
    assert count(database) == 4
    database.close()


def test_other_errors_of_sqlite_are_translated_too(database: Database) -> None:
    with pytest.raises(StoreError, match="collection 'handbook': no such table"), database.reading() as connection:
        connection.execute("SELECT 1 FROM letters")


def test_lent_connections_are_closed_when_they_come_back(database: Database) -> None:
    with database.reading() as connection:
        database.close()
        connection.execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")
    with pytest.raises(StoreError, match="is closed"):
        count(database)


def test_connections_are_reused_and_few_are_kept(database: Database) -> None:
    threads = [threading.Thread(target=count, args=(database,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(database._idle) <= 8


READ_ONLY = """
import os, sys
from pathlib import Path
from headrace.contracts.errors import StoreError
from headrace.retrieval.collection.database import Database
os.setgroups([]), os.setgid(65534), os.setuid(65534)
database = Database(Path(sys.argv[1]), name="handbook", wait_s=1.0)
with database.reading() as connection:
    print(connection.execute("SELECT count(*) FROM numbers").fetchone()[0])
try:
    database.writing().__enter__()
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_a_read_only_folder_can_be_read_and_refuses_writes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection.sqlite"
        path.touch()
        database = Database(path, name="handbook", wait_s=0.05)
        with database.writing() as connection:
            connection.execute("CREATE TABLE numbers (number INTEGER)")
            connection.execute("INSERT INTO numbers VALUES (1)")
        database.close()
        path.parent.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read, refused = done.stdout.splitlines()
    assert read == "1"
    assert "collection 'handbook' cannot be" in refused
