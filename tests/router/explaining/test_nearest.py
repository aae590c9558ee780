from pathlib import Path

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE, read_artefact, write_artefact
from headrace.router.explaining.nearest import FORMAT, PACKAGED, NearestIndex, load


def packaged() -> NearestIndex:
    index = load()
    assert index is not None
    return index


def test_a_training_question_is_nearest_to_itself() -> None:
    first, second, *_ = packaged().nearest("What is the capital of France?")
    assert first.likeness == pytest.approx(1)
    assert first.text == "What is the capital of France?"
    assert second.likeness < 1


def test_alike_is_alike_whatever_the_case() -> None:
    index = packaged()
    assert index.nearest("WHAT IS THE CAPITAL OF FRANCE?")[0] == index.nearest("What is the capital of France?")[0]


@pytest.mark.parametrize("text", ["", "?!", "zzzzzz"])
def test_a_text_without_a_known_word_has_no_neighbour(text: str) -> None:
    assert packaged().nearest(text) == ()


def test_no_more_than_asked_for() -> None:
    assert len(packaged().nearest("how many apples are left", most=3)) == 3


def test_the_packaged_index_is_small_and_every_source_has_its_licence() -> None:
    assert sum((PACKAGED / name).stat().st_size for name in (CARD_FILE, WEIGHTS_FILE)) <= 2_000_000
    card = packaged().card
    assert card["licenses"].keys() == card["questions_by_source"].keys()
    assert all(licence.startswith(("MIT", "CC0")) for licence in card["licenses"].values())


def test_no_index_is_no_fault_but_a_bad_one_is(tmp_path: Path) -> None:
    assert load(tmp_path / "none") is None
    card, arrays = read_artefact(PACKAGED, FORMAT)
    del card["format"], card["format_version"], card["weights_sha256"]
    write_artefact(tmp_path / "short", card, {**arrays, "lengths": arrays["lengths"][1:]}, FORMAT)
    with pytest.raises(ConfigError, match="train it again"):
        load(tmp_path / "short")
    write_artefact(tmp_path / "torn", card, {**arrays, "rows": np.frombuffer(b"[[", dtype=np.uint8)}, FORMAT)
    with pytest.raises(ConfigError, match="not an index"):
        load(tmp_path / "torn")
