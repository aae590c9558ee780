import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from headrace.contracts.errors import NotFound, StoreError
from headrace.retrieval.collection.open import DATABASE, IndexOptions, drop_index, open_index
from tests.support.collections import EMBEDDER, document, turned
from tests.support.qdrant_server import running


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


def test_a_rebuilt_collection_put_in_its_place_is_used_from_then_on(tmp_path: Path) -> None:
    index = open_index(tmp_path / "handbook", EMBEDDER, create=True)
    index.put(document("old", ["word"]), [turned(0)])
    assert index.dense(turned(0), 1)
    staged = open_index(tmp_path / "staged", EMBEDDER, create=True)
    for name in ("new", "newer"):
        staged.put(document(name, ["word"]), [turned(0)])
    staged.close()
    (tmp_path / "handbook").rename(tmp_path / "replaced")
    (tmp_path / "staged").rename(tmp_path / "handbook")
    assert len(index.dense(turned(0), 5)) == len(index.lexical("word", 5)) == 2
    index.put(document("newest", ["word"]), [turned(0)])
    assert sorted(info.id for info in index.documents()) == ["new", "newer", "newest"]
    index.close()


def test_one_rebuilt_for_another_embedder_is_refused(tmp_path: Path) -> None:
    index = open_index(tmp_path / "handbook", EMBEDDER, create=True)
    open_index(tmp_path / "staged", msgspec.structs.replace(EMBEDDER, model="other"), create=True).close()
    (tmp_path / "handbook").rename(tmp_path / "replaced")
    (tmp_path / "staged").rename(tmp_path / "handbook")
    with pytest.raises(StoreError, match="was made with embedder other"):
        index.dense(turned(0), 5)
    with pytest.raises(StoreError, match="was made with embedder other"):
        index.put(document("a", ["word"]), [turned(0)])
    index.close()


def test_a_dropped_collection_is_gone_with_all_that_was_kept_of_it(tmp_path: Path) -> None:
    with running() as server:
        options = IndexOptions(engine="qdrant", url=server.url)
        index = open_index(tmp_path / "handbook", EMBEDDER, create=True, options=options)
        index.put(document("a", ["word"]), [turned(0)])
        drop_index(tmp_path / "handbook", options)
        assert server.data.get_collections().collections == []
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotFound, match="is gone"):
        index.text("a")
    index.close()
    drop_index(tmp_path / "handbook", options)


def test_a_collection_is_dropped_even_while_qdrant_is_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running() as server:
        options = IndexOptions(engine="qdrant", url=server.url)
        open_index(tmp_path / "handbook", EMBEDDER, create=True, options=options).close()
    drop_index(tmp_path / "handbook", options)
    assert "points of collection handbook stay behind" in caplog.text
    assert not list(tmp_path.iterdir())


def test_neither_engine_is_imported_before_a_collection_is_opened() -> None:
    code = "import sys, headrace.retrieval.collection.open as _; print({'faiss', 'qdrant_client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
