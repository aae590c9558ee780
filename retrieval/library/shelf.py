"""Where the indexes of a library's stores are: one folder each, made and opened for one embedder."""

from collections.abc import Callable
from pathlib import Path

from headrace.contracts.errors import NotFound
from headrace.contracts.retrieval import EmbedderId, Index
from headrace.retrieval.collection.open import IndexOptions, drop_index, open_index


class FolderShelf:
    """Implements indexes.Shelf. embedder: tells which one this is, which may read its files."""

    def __init__(
        self, place: Callable[[str], Path], embedder: Callable[[], EmbedderId], options: IndexOptions | None = None
    ) -> None:
        self._place = place
        self._embedder = embedder
        self._options = options or IndexOptions()

    def open(self, store: str, *, create: bool) -> Index | None:
        """Return the index of a store; None where there is none and none is to be made."""
        try:
            return open_index(self._place(store), self._embedder(), create=create, options=self._options)
        except NotFound:
            return None

    def drop(self, store: str) -> None:
        """Remove the index of a store, if there is one."""
        drop_index(self._place(store), self._options)
