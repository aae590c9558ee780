from pathlib import Path

from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE
from headrace.router.difficulty.model import load
from headrace.router.training.corpus import read_source
from headrace.router.training.train import data_hash, train


def test_the_same_examples_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    examples = read_source(data, "routellm_mmlu") + read_source(data, "zeroeval_gsm")
    for name in ("one", "two"):
        train(examples, tmp_path / name)
    for file in (CARD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_trained_artefact_loads_and_tells_easy_from_hard(data: Path, tmp_path: Path) -> None:
    card = train(read_source(data, "routellm_mmlu") + read_source(data, "zeroeval_gsm"), tmp_path / "artefact")
    model = load(tmp_path / "artefact")
    assert model.sha256 == card["weights_sha256"]
    easy, hard = (f"Name the colour of fruit number {7}.", "Integrate the polynomial over the unit interval.")
    assert model.judge(easy).value < model.judge(hard).value
    assert card["examples_by_source"] == {"routellm_mmlu": 60, "zeroeval_gsm": 60}


def test_the_data_hash_covers_texts_and_labels(data: Path) -> None:
    examples = read_source(data, "zeroeval_gsm")
    assert data_hash(examples) == data_hash(list(examples))
    assert data_hash(examples) != data_hash(examples[1:])
