from pathlib import Path

import pytest

from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.search.questions import fitted
from tests.support.tiny_embedding import write_model


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokens:
    write_model(tmp_path)
    return Tokens.load(tmp_path)


def test_what_fits_stays_as_it_is(tokenizer: Tokens) -> None:
    assert fitted("cat dog tax", tokenizer) == "cat dog tax"
    assert fitted("", tokenizer) == ""


def test_of_a_long_question_the_beginning_stays_up_to_the_window(tokenizer: Tokens) -> None:
    cut = fitted("cat " * 500, tokenizer)
    assert tokenizer.window - 1 <= len(cut.split()) <= tokenizer.window
    assert len(fitted("c" * 10_000 + " dog" * 50, tokenizer)) < 10_100
