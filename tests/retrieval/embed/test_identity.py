from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.retrieval.embed.identity import embedder_id
from tests.support.tiny_embedding import write_model


def test_the_stores_digest_is_the_identity(tmp_path: Path) -> None:
    folder = tmp_path / ("ab" * 32)
    folder.mkdir()
    write_model(folder)
    (tmp_path / "link").symlink_to(folder)
    found = embedder_id("tiny", tmp_path / "link")
    assert (found.model, found.sha256, found.dimensions) == ("tiny", "ab" * 32, 4)


def test_any_other_folder_is_hashed(tmp_path: Path) -> None:
    write_model(tmp_path)
    first = embedder_id("tiny", tmp_path)
    assert first == embedder_id("tiny", tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((tmp_path / "tokenizer.json").read_bytes() + b" ")
    assert embedder_id("tiny", tmp_path).sha256 != first.sha256


def test_an_incomplete_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="headrace models import tiny"):
        embedder_id("tiny", tmp_path)
