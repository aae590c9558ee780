from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the build runs in the engine environment")

import json  # noqa: E402

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from headrace.contracts.errors import StoreError  # noqa: E402
from headrace.models.build.sentence_encoder import build_sentence_encoder  # noqa: E402

pytestmark = pytest.mark.engine_env

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "river", "mill", "x"]
CONFIG = {
    "model_type": "bert", "hidden_act": "gelu", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "layer_norm_eps": 1e-12, "max_position_embeddings": 64, "type_vocab_size": 2,
    "vocab_size": len(WORDS), "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    from tokenizers import Tokenizer  # noqa: PLC0415
    from tokenizers.models import WordLevel  # noqa: PLC0415
    from tokenizers.pre_tokenizers import Whitespace  # noqa: PLC0415
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    torch.manual_seed(0)
    save_file(BertModel(BertConfig(**CONFIG)).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return {name: tmp_path / name for name in ("model.safetensors", "config.json", "tokenizer.json")}


def test_the_graph_computes_what_torch_computes(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert build_sentence_encoder(files, out, max_tokens=64) > 0.999999
    assert json.loads((out / "embedding.json").read_text()) == {"max_tokens": 64, "dimensions": 32, "pad_token_id": 0}
    assert json.loads((out / "tokenizer.json").read_text())["truncation"] is None


def test_batch_and_length_are_free_and_padding_changes_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    build_sentence_encoder(files, out, max_tokens=64)
    run = ReferenceEvaluator(onnx.load(out / "model.onnx")).run
    short = run(None, {"input_ids": np.array([[2, 5, 3]]), "attention_mask": np.array([[1, 1, 1]])})[0]
    padded = run(
        None, {"input_ids": np.array([[2, 5, 3, 0, 0]] * 2), "attention_mask": np.array([[1, 1, 1, 0, 0]] * 2)}
    )
    np.testing.assert_allclose(padded[0][0], short[0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(padded[0], axis=1), 1, atol=1e-6)


def test_another_kind_of_encoder_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    files["config.json"].write_text(json.dumps({**CONFIG, "model_type": "roberta"}))
    with pytest.raises(StoreError, match="not 'roberta'"):
        build_sentence_encoder(files, tmp_path, max_tokens=64)
