"""What is still to be done in the catalogue: files to ingest, files to take out. The table is the queue.

So the queue is as durable as the files, and what a killed process had begun is found again. Blocking.
"""

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from headrace.contracts.retrieval import Attributes
from headrace.retrieval.library import files, members
from headrace.retrieval.library.database import Database
from headrace.retrieval.library.records import Chunking, FileRecord, LastError, Leaving, Work

GONE_FOR_S: Final = 86_400
_OF_FILE: Final = ", ".join(f"f.{field}" for field in files.FIELDS.split(", "))
_WAITING: Final = f"""
    SELECT m.turn, m.store, m.attributes, m.max_tokens, m.overlap, {_OF_FILE}
    FROM members AS m JOIN files AS f ON f.id = m.file
    WHERE m.status = 'in_progress' AND m.turn NOT IN (SELECT value FROM json_each(:begun))
    ORDER BY row_number() OVER (PARTITION BY f.tenant ORDER BY m.seq), m.seq LIMIT :limit
"""  # noqa: S608  (constants)
_MINE: Final = "store = :store AND file = :file AND turn = :turn AND status = 'in_progress'"


class Backlog:
    """The queue of a library. now: seconds since 1970."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    def waiting(self, limit: int, begun: Collection[int] = ()) -> list[Work]:
        """Return the next files to ingest, one of each tenant in turn, but not those of these turns."""
        asked = {"limit": limit, "begun": msgspec.json.encode(sorted(begun)).decode()}
        with self._database.read() as connection:
            return [
                Work(turn, store, FileRecord(*file), members.decode(attributes), Chunking(max_tokens, overlap))
                for turn, store, attributes, max_tokens, overlap, *file in connection.execute(_WAITING, asked)
            ]

    def wanted(self, work: Work) -> Attributes | None:
        """Return the attributes a file is to have now; None where it was cancelled, removed or replaced."""
        with self._database.read() as connection:
            row = connection.execute(f"SELECT attributes FROM members WHERE {_MINE}", _key(work)).fetchone()  # noqa: S608  (constants)
        return None if row is None else members.decode(row[0])

    def finish(self, work: Work, size: int) -> bool:
        """Show a file whose passages are in the index; False where nobody wants it any more."""
        return self._end(f"UPDATE members SET status = 'completed', bytes = :bytes WHERE {_MINE}", work, bytes=size)  # noqa: S608  (constants)

    def fail(self, work: Work, error: LastError) -> bool:
        """Say why a file could not be ingested; False where nobody wants it any more."""
        return self._end(
            f"UPDATE members SET status = 'failed', error_code = :code, error_message = :message WHERE {_MINE}",  # noqa: S608  (constants)
            work,
            code=error.code,
            message=error.message,
        )

    def leaving(self) -> list[Leaving]:
        """Return the files that must still be taken out of an index."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT turn, store, file FROM members WHERE status = 'leaving' ORDER BY seq")
            return [Leaving(*row) for row in rows]

    def is_leaving(self, leaving: Leaving) -> bool:
        """Tell whether a file must still be taken out, or was put in again meanwhile."""
        asked = (leaving.store, leaving.file, leaving.turn)
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM members WHERE store = ? AND file = ? AND turn = ? AND status = 'leaving'", asked
            ).fetchone()
        return row is not None

    def length(self) -> int:
        """Return how many files are still to be ingested."""
        with self._database.read() as connection:
            row = connection.execute("SELECT count(*) FROM members WHERE status = 'in_progress'").fetchone()
            return int(row[0])

    def forget_gone(self) -> None:
        """Drop what was remembered of objects that were removed a day ago."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM gone WHERE at < ?", (int(self._now()) - GONE_FOR_S,))

    def _end(self, statement: str, work: Work, **values: str | int) -> bool:
        with self._database.write() as connection:
            return connection.execute(statement, {**_key(work), **values}).rowcount == 1


def _key(work: Work) -> dict[str, str | int]:
    return {"turn": work.turn, "store": work.store, "file": work.file.id}
