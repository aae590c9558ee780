"""The library of one gateway: its folder, its catalogue and the parts that read and write it. Blocking.

library.sqlite        files, stores, what is in them, batches
files/<sha256>        bytes, one blob for all files with the same content
incoming/             bytes that are still arriving
collections/<vs_id>/  the index of each store
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.retrieval.library.backlog import Backlog
from headrace.retrieval.library.blobs import Blobs
from headrace.retrieval.library.database import Database
from headrace.retrieval.library.files import Files
from headrace.retrieval.library.schema import STEPS
from headrace.retrieval.library.shelves import Shelves
from headrace.retrieval.library.stores import Stores

CATALOGUE: Final = "library.sqlite"


@dataclass(frozen=True, slots=True)
class LibraryLimits:
    """file_bytes: of one file. tenant_bytes: of all files of a tenant. store_files: files in one store."""

    file_bytes: int = 512_000_000
    tenant_bytes: int = 10_000_000_000
    store_files: int = 10_000


class Library:
    """Files and stores of all tenants under one folder. Made without touching the disk; safe to share between threads.

    now: seconds since 1970.
    """

    def __init__(
        self, folder: Path, limits: LibraryLimits | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        limits = limits or LibraryLimits()
        self.folder = folder
        self.now = now
        self._database = Database(folder / CATALOGUE, STEPS)
        blobs = Blobs(folder / "files", folder / "incoming")
        self.files = Files(
            self._database, blobs, file_bytes=limits.file_bytes, tenant_bytes=limits.tenant_bytes, now=now
        )
        self.stores = Stores(self._database, most_files=limits.store_files, now=now)
        self.shelves = Shelves(self._database, most_files=limits.store_files, now=now)
        self.backlog = Backlog(self._database, now)

    @property
    def exists(self) -> bool:
        """True once anything was ever kept here."""
        return (self.folder / CATALOGUE).exists()

    def collection(self, store: str) -> Path:
        """Return the folder of a store's index."""
        return self.folder / "collections" / store

    def close(self) -> None:
        """Let go of the catalogue."""
        self._database.close()
