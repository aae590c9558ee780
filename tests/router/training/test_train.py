from pathlib import Path

import msgspec
import pytest

from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE
from headrace.router.difficulty.model import load, moved
from headrace.router.replay.log import Log
from headrace.router.training.corpus import read_source
from headrace.router.training.train import data_hash, learn_from, offsets_in, train
from tests.support.heard import SMALL, World


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


def logged_under(sha256: str, world: World) -> Log:
    log = world.log()
    entries = tuple(msgspec.structs.replace(entry, artefacts={"difficulty": sha256}) for entry in log.entries)
    return Log(entries, log.feedback)


@pytest.fixture
def artefact(data: Path, tmp_path: Path) -> Path:
    train(read_source(data, "routellm_mmlu") + read_source(data, "zeroeval_gsm"), tmp_path / "artefact")
    return tmp_path / "artefact"


def test_feedback_moves_the_difficulty_of_its_domain_alone(artefact: Path) -> None:
    plain, texts = load(artefact), ("Name the colour of fruit number 7.", "Integrate the polynomial over it.")
    log = logged_under(plain.sha256, World({"maths": 1.5}, share=1.0))
    _, found = learn_from(log, artefact, SMALL, {})
    assert found.is_better
    taught = load(artefact)
    assert taught.sha256 != plain.sha256
    assert taught.card["feedback"]["trained_as"] == plain.sha256
    for text in texts:
        before, after = plain.judge(text), taught.judge(text)
        assert after.value == pytest.approx(moved(before.value, found.offsets.get(before.domain, 0.0)), rel=1e-5)


def test_feedback_that_teaches_nothing_leaves_every_byte(artefact: Path) -> None:
    before = [(artefact / file).read_bytes() for file in (CARD_FILE, WEIGHTS_FILE)]
    joined, found = learn_from(logged_under(load(artefact).sha256, World()), artefact, SMALL, {})
    assert joined.heard
    assert not found.is_better
    assert [(artefact / file).read_bytes() for file in (CARD_FILE, WEIGHTS_FILE)] == before


def test_a_second_round_knows_what_the_first_one_added(artefact: Path) -> None:
    plain = load(artefact).sha256
    _, first = learn_from(logged_under(plain, World({"maths": 1.5}, share=1.0)), artefact, SMALL, {})
    before = offsets_in(artefact)
    assert before == {load(artefact).sha256: pytest.approx(dict.fromkeys(load(artefact).domains, 0.0) | first.offsets)}
    joined, _ = learn_from(logged_under(load(artefact).sha256, World()), artefact, SMALL, before)
    assert joined.heard


def test_an_artefact_without_feedback_has_no_offsets(artefact: Path, tmp_path: Path) -> None:
    assert offsets_in(artefact) == {}
    assert offsets_in(tmp_path / "nothing") == {}
