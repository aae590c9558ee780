from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.retrieval.chunk.tokens import Tokens
from tests.support.counting import byte_tokens, word_tokens
from tests.support.tiny_embedding import write_model


def test_tokens_are_counted_without_the_models_own_first_and_last(tmp_path: Path) -> None:
    write_model(tmp_path, max_tokens=8)
    tokens = Tokens.load(tmp_path)
    assert tokens.window == 6
    assert tokens.count(["cat dog", "", "cat unknown word"]) == [2, 0, 3]


def test_words_and_bytes_are_counted_as_they_are() -> None:
    assert word_tokens().count(["a b, c"]) == [4]
    assert byte_tokens().count(["é x"]) == [4]


@pytest.mark.parametrize("missing", ["tokenizer.json", "embedding.json"])
def test_an_incomplete_model_is_named(tmp_path: Path, missing: str) -> None:
    write_model(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(StoreError, match="incomplete"):
        Tokens.load(tmp_path)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(StoreError, match="incomplete"):
        Tokens.load(tmp_path)
