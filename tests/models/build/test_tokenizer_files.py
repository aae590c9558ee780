from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the build runs in the engine environment")

import json

from tokenizers import Tokenizer

from headrace.contracts.errors import StoreError
from headrace.models.build.gguf_file import GgufFile
from headrace.models.build.tokenizer_files import tokenizer_files, tokenizer_json
from tests.support.tiny_gguf import TEMPLATE, write_tiny

pytestmark = pytest.mark.engine_env


@pytest.fixture
def source(tmp_path: Path) -> GgufFile:
    write_tiny(tmp_path / "m.gguf")
    return GgufFile(tmp_path / "m.gguf")


def test_any_text_survives_the_way_there_and_back(source: GgufFile) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_files(source, template_edits={})["tokenizer.json"])
    for text in ("ab 12 naïve 🙂\n\tx", "<|im_start|>ab<|im_end|>"):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    assert tokenizer.encode("<|im_start|>ab").tokens == ["<|im_start|>", "ab"]


def test_padding_of_the_vocabulary_is_left_out(source: GgufFile) -> None:
    assert "[PAD]" not in tokenizer_json(source.metadata, "m")["model"]["vocab"]


def test_each_digit_is_a_token_where_the_model_wants_it(source: GgufFile) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_files(source, template_edits={})["tokenizer.json"])
    assert tokenizer.encode("123").tokens == ["1", "2", "3"]


def test_the_chat_template_is_the_files_own_with_exact_corrections(source: GgufFile) -> None:
    assert tokenizer_files(source, template_edits={})["chat_template.jinja"] == TEMPLATE
    edited = tokenizer_files(source, template_edits={"m.content": "m['content']"})
    assert "m['content']" in edited["chat_template.jinja"]
    with pytest.raises(StoreError, match="has 0 places 'absent', wanted one"):
        tokenizer_files(source, template_edits={"absent": "x"})


def test_the_end_token_stops_generation(source: GgufFile) -> None:
    files = tokenizer_files(source, template_edits={})
    assert json.loads(files["generation_config.json"]) == {"eos_token_id": [258]}
    assert json.loads(files["tokenizer_config.json"])["eos_token"] == "<|im_end|>"


def test_an_unknown_tokenizer_is_refused(source: GgufFile) -> None:
    with pytest.raises(StoreError, match="'other' cannot be imported"):
        tokenizer_json({**source.metadata, "tokenizer.ggml.pre": "other"}, "m.gguf")
