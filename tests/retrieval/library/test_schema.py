import sqlite3
from pathlib import Path

import pytest

from headrace.retrieval.library.database import Database
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import NewMember
from headrace.retrieval.library.schema import STEPS

LISTS = (
    "SELECT id FROM files WHERE tenant = 'a' ORDER BY seq DESC",
    "SELECT id FROM stores WHERE tenant = 'a' ORDER BY seq DESC",
)


def test_every_table_is_strict_and_what_a_tenant_lists_is_indexed(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite", STEPS)
    with database.read() as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        plans = [" ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {each}")) for each in LISTS]
    assert {name for name, sql in tables.items() if "STRICT" not in sql} == {"sqlite_sequence"}
    assert all("USING" in plan and "TEMP B-TREE" not in plan for plan in plans)
    database.close()


def test_a_file_cannot_be_forgotten_while_a_store_holds_it(tmp_path: Path) -> None:
    library = Library(tmp_path)
    file = library.files.keep("a", "a.txt", b"a")
    library.stores.create("a", files=[NewMember(file.id)])
    with library._database.write() as connection:
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM files")
        connection.execute("DELETE FROM stores")
        connection.execute("DELETE FROM files")
    library.close()
