import struct
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.retrieval.ingest.embedding import ModelEmbed
from tests.support.tiny_embedding import write_model


def test_each_text_gets_its_own_vector_whatever_its_length(tmp_path: Path) -> None:
    write_model(tmp_path)
    embed = ModelEmbed.load(tmp_path, threads=1)
    texts = ["cat dog cat", "tax", "cat", "law tax"] * 20
    together = embed.embed(texts)
    assert [len(vector) for vector in together] == [16] * 80
    for text, vector in zip(texts[:4], together, strict=False):
        alone = struct.unpack("<4f", embed.embed([text])[0])
        assert struct.unpack("<4f", vector) == pytest.approx(alone, abs=1e-6)
    assert embed.embed([]) == []


def test_an_incomplete_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        ModelEmbed.load(tmp_path, threads=1)
