from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.contracts.retrieval import EmbedderId
from headrace.retrieval.library.shelf import FolderShelf
from tests.support.stores import EMBEDDER


def test_an_index_is_a_folder_that_is_made_opened_and_dropped(tmp_path: Path) -> None:
    shelf = FolderShelf(lambda store: tmp_path / store, lambda: EMBEDDER)
    assert shelf.open("vs_1", create=False) is None
    made = shelf.open("vs_1", create=True)
    assert made is not None
    made.close()
    again = shelf.open("vs_1", create=False)
    assert again is not None
    again.close()
    shelf.drop("vs_1")
    shelf.drop("vs_1")
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_another_embedder_is_refused(tmp_path: Path) -> None:
    made = FolderShelf(lambda store: tmp_path / store, lambda: EMBEDDER).open("vs_1", create=True)
    assert made is not None
    made.close()
    other = FolderShelf(lambda store: tmp_path / store, lambda: EmbedderId("other", "0" * 64, EMBEDDER.dimensions))
    with pytest.raises(StoreError):
        other.open("vs_1", create=False)
