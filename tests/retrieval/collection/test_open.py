import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from headrace.contracts.errors import NotFound, StoreError
from headrace.retrieval.collection.open import DATABASE, open_index
from tests.support.collections import EMBEDDER, document, turned


def test_a_collection_is_made_only_when_asked_to(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no collection 'handbook'; make it with `headrace index add handbook"):
        open_index(tmp_path / "handbook", EMBEDDER)
    assert not list(tmp_path.iterdir())
    open_index(tmp_path / "handbook", EMBEDDER, create=True).close()
    open_index(tmp_path / "handbook", EMBEDDER).close()
    open_index(tmp_path / "handbook", EMBEDDER, create=True).close()


def test_a_collection_whose_making_was_cut_short_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / DATABASE).touch()
    with pytest.raises(NotFound):
        open_index(folder, EMBEDDER)
    index = open_index(folder, EMBEDDER, create=True)
    index.put(document("a", ["x"]), [turned(0)])
    index.close()


def test_another_embedder_is_refused_and_the_collection_left_alone(tmp_path: Path) -> None:
    index = open_index(tmp_path / "handbook", EMBEDDER, create=True, chunking="200 tokens")
    index.put(document("a", ["x"]), [turned(0)])
    index.close()
    for create in (True, False):
        with pytest.raises(StoreError, match="headrace index rebuild handbook"):
            open_index(tmp_path / "handbook", msgspec.structs.replace(EMBEDDER, sha256="1" * 64), create=create)
        with pytest.raises(StoreError, match="headrace index rebuild handbook"):
            open_index(tmp_path / "handbook", EMBEDDER, create=create, chunking="100 tokens")
    again = open_index(tmp_path / "handbook", EMBEDDER, chunking="200 tokens")
    assert [info.id for info in again.documents()] == ["a"]
    again.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="collection 'handbook' cannot be made"):
        open_index(tmp_path / "file" / "handbook", EMBEDDER, create=True)


def test_neither_engine_is_imported_before_a_collection_is_opened() -> None:
    code = "import sys, headrace.retrieval.collection.open as _; print({'faiss', 'qdrant_client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
