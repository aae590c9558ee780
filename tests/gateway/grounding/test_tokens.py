from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from headrace.gateway.grounding.tokens import Estimate, OwnTokenizer, Tokenizers
from headrace.router.features import text_tokens
from tests.support.config import card


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel({"leave": 0, "days": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True)])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_models_own_tokenizer_counts_exactly_and_names_its_markers(file: Path) -> None:
    counter = OwnTokenizer(file)
    assert counter.count("leave days") == 2
    assert counter.markers == {"<|im_start|>"}


def test_without_a_tokenizer_the_routers_estimate_counts() -> None:
    assert Estimate().count("four words of text") == text_tokens("four words of text")
    assert not Estimate().markers


def test_a_counter_is_made_once_a_model(file: Path) -> None:
    asked: list[str] = []

    def find(model: str) -> Path | None:
        asked.append(model)
        return file if model == "known" else None

    made = Tokenizers(find)
    assert isinstance(made.of(card("known")), OwnTokenizer)
    assert made.of(card("known")) is made.of(card("known"))
    assert isinstance(made.of(card("unknown")), Estimate)
    assert asked == ["known", "unknown"]
