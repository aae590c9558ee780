from pathlib import Path

import msgspec
import numpy as np
import pytest

from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE, write_artefact
from headrace.router.difficulty.model import load, moved
from headrace.router.quality.backends import BackendQuality
from headrace.router.quality.model import FORMAT
from headrace.router.quality.model import load as load_quality
from headrace.router.replay.log import Log
from headrace.router.training.corpus import read_source
from headrace.router.training.feedback import Cell
from headrace.router.training.learn import learn_from, offsets_in
from headrace.router.training.train import train
from tests.support.heard import SMALL, World
from tests.support.quality import tiny_arrays, tiny_card
from tests.support.routing import card


def logged_under(sha256: str, world: World) -> Log:
    log = world.log()
    entries = tuple(
        msgspec.structs.replace(entry, artefacts={"difficulty": sha256, "quality": sha256}) for entry in log.entries
    )
    return Log(entries, log.feedback)


@pytest.fixture
def artefact(data: Path, tmp_path: Path) -> Path:
    train(read_source(data, "routellm_mmlu") + read_source(data, "zeroeval_gsm"), tmp_path / "artefact")
    return tmp_path / "artefact"


def test_feedback_moves_the_difficulty_of_its_domain_alone(artefact: Path) -> None:
    plain, texts = load(artefact), ("Name the colour of fruit number 7.", "Integrate the polynomial over it.")
    log = logged_under(plain.sha256, World({"maths": 1.5}, share=1.0))
    _, found = learn_from(log, artefact, "difficulty", small=SMALL, before={})
    assert found.is_better
    taught = load(artefact)
    assert taught.sha256 != plain.sha256
    assert taught.card["feedback"]["trained_as"] == plain.sha256
    for text in texts:
        before, after = plain.judge(text), taught.judge(text)
        assert after.value == pytest.approx(
            moved(before.value, found.offsets.get(Cell(SMALL, before.domain), 0.0)), rel=1e-5
        )


def test_feedback_that_teaches_nothing_leaves_every_byte(artefact: Path) -> None:
    before = [(artefact / file).read_bytes() for file in (CARD_FILE, WEIGHTS_FILE)]
    joined, found = learn_from(
        logged_under(load(artefact).sha256, World()), artefact, "difficulty", small=SMALL, before={}
    )
    assert joined.heard
    assert not found.is_better
    assert [(artefact / file).read_bytes() for file in (CARD_FILE, WEIGHTS_FILE)] == before


def test_a_second_round_knows_what_the_first_one_added(artefact: Path) -> None:
    plain = load(artefact).sha256
    _, first = learn_from(
        logged_under(plain, World({"maths": 1.5}, share=1.0)), artefact, "difficulty", small=SMALL, before={}
    )
    before = offsets_in(artefact, "difficulty")
    assert before.keys() == {load(artefact).sha256}
    assert (
        before[load(artefact).sha256].items()
        >= {cell: pytest.approx(one) for cell, one in first.offsets.items()}.items()
    )
    joined, _ = learn_from(
        logged_under(load(artefact).sha256, World()), artefact, "difficulty", small=SMALL, before=before
    )
    assert joined.heard


def test_an_artefact_without_feedback_has_no_offsets(artefact: Path, tmp_path: Path) -> None:
    assert offsets_in(artefact, "difficulty") == {}
    assert offsets_in(tmp_path / "nothing", "difficulty") == {}


def test_feedback_moves_the_predicted_quality_of_its_model_and_domain_alone(tmp_path: Path) -> None:
    write_artefact(tmp_path, tiny_card(), tiny_arrays(), FORMAT)
    plain = load_quality(tmp_path)
    log = logged_under(plain.sha256, World({"code": 1.5}, share=1.0))
    _, found = learn_from(log, tmp_path, "quality", small="", before={})
    assert found.is_better
    taught = load_quality(tmp_path)
    assert {cell.model for cell in found.offsets} == {"small-model", "large-model"}
    cards = {"s": card("small-model"), "other": card("small-1b")}
    before, after = BackendQuality(plain, cards)("short", "code"), BackendQuality(taught, cards)("short", "code")
    assert after["other"] == before["other"]
    assert after["s"] == pytest.approx(moved(before["s"], found.offsets[Cell("small-model", "code")]), rel=1e-5)
    assert BackendQuality(taught, cards)("short") == BackendQuality(plain, cards)("short")
    (again,) = offsets_in(tmp_path, "quality").values()
    assert again == {cell: np.float32(offset) for cell, offset in found.offsets.items()}
