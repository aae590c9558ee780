"""The kernels' attention inside a real model of transformers, tiny and with random weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.sparse.attention import Subject, load, watching
from benchmarks.sparse.methods import BLOCK, Cache, by_blocks, by_pages, by_share, everything
from benchmarks.sparse.recall import recalled
from headrace.kernels.dispatch import MODE_VARIABLE

TOKENS = [7 * place % 50 for place in range(3 * BLOCK + 5)]


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("tiny")
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    config.save_pretrained(folder)
    save_file(
        {name: value for name, value in model.state_dict().items() if name != "lm_head.weight"},
        folder / "model.safetensors",
    )
    words = Tokenizer(models.WordLevel({str(place): place for place in range(50)}, unk_token="0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="0").save_pretrained(folder)
    return load(folder, "tiny")


@pytest.fixture(autouse=True)
def _torch_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the path that the benchmark takes: tests of kernels in this process set up Triton's interpreter."""
    monkeypatch.setenv(MODE_VARIABLE, "torch")


@torch.inference_mode()
def plain(folder: Path) -> torch.Tensor:
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager")
    logits: torch.Tensor = model(torch.tensor([TOKENS])).logits[0].float()
    return logits


def test_keeping_all_is_the_models_own_attention(subject: Subject, tmp_path: Path) -> None:
    subject.model.save_pretrained(tmp_path)
    expected = plain(tmp_path)
    for method in (everything(), *by_blocks(8), by_share(1.0)):
        got = subject.scores(TOKENS, method)
        assert subject.kept == 1.0
        assert (got - expected).abs().max() <= 0.02 * expected.abs().max()


def test_a_budget_changes_what_follows_it_and_only_that(subject: Subject) -> None:
    dense = subject.scores(TOKENS, everything())
    method = by_blocks(2)[0]
    sparse = subject.scores(TOKENS, method)
    assert subject.kept < 1.0
    one = subject.scores(TOKENS, method, frozenset({1}))
    none = subject.scores(TOKENS, method, frozenset())
    assert torch.equal(none, dense)
    assert not torch.equal(sparse, dense)
    assert (one - dense).abs().sum() < (sparse - dense).abs().sum()


def test_recall_is_whole_where_all_is_kept_and_never_above_the_best_lists(subject: Subject) -> None:
    seen = []

    def watch(_: int, q: torch.Tensor, cache: Cache) -> None:
        seen.append(recalled(q, cache, everything().choose(q, cache)))
        seen.extend(recalled(q, cache, one.choose(q, cache)) for one in by_blocks(2))

    with watching(subject, watch):
        subject.scores(TOKENS, everything())
    assert seen[0] == pytest.approx((1.0, 1.0), abs=1e-5)
    assert len(seen) == 2 * 6
    assert all(0.0 < held <= best + 1e-6 <= 1.0 + 2e-6 for held, best in seen)
    assert any(held < best - 1e-6 for held, best in seen)


def test_a_way_for_decode_reads_all_within_its_budget_and_changes_only_what_follows(subject: Subject) -> None:
    dense = subject.scores(TOKENS, everything())
    places = [100, 150, 196]
    for method in by_pages(4):
        whole = subject.scores(TOKENS, method, decoded=places)
        assert subject.kept == 1.0
        assert (whole - dense).abs().max() <= 0.02 * dense.abs().max()
    for method in by_pages(3)[:-1]:
        part = subject.scores(TOKENS, method, decoded=places)
        # Of 101 and 151 tokens three pages are all; of 197, 64 are left out.
        assert subject.kept == pytest.approx((2 + 133 / 197) / 3)
        whole = subject.scores(TOKENS, method, decoded=[])
        assert torch.equal(part[:196], whole[:196])
        assert not torch.equal(part[196], whole[196])
    *_, both = by_pages(3)
    assert not torch.equal(subject.scores(TOKENS, both, decoded=[])[150:], dense[150:])
