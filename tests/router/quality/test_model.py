import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE, write_artefact
from headrace.router.quality.model import FORMAT, STRANGER_TRUST, Candidate, QualityModel, load, plain
from headrace.router.quality.structure import structure
from tests.support.quality import LONG, SLOPE, UNLIKE, tiny_arrays, tiny_card, tiny_model

SHORT = "What is it?"
CHOSEN = "Which one?\nA. this\nB. that\nC. all\nD. none"
ODD_TEXTS = {
    "empty": "",
    "megabyte": "word " * 200_000,
    "binary": "\x00\x01\xff\ufffd" * 300,
    "lone surrogates": "\ud800" * 9,
    "Chinese": "法国的首都是哪里" * 40,
    "unlike": UNLIKE,
}


def written(folder: Path, arrays: dict[str, Any] | None = None, **card: Any) -> Path:
    write_artefact(folder, {**tiny_card(), **card}, arrays or tiny_arrays(), FORMAT)
    return folder


def predicted(model: QualityModel, text: str, *candidates: Candidate) -> list[float]:
    return model.bind(candidates).predict(text).quality.tolist()


def test_panels_are_mixed_by_likeness_and_by_whether_they_met_the_model() -> None:
    # Without choices both panels are equally like the question; the second never met the model and judges by its size.
    plain_panel = 2 / 3 * 0.5 + 1 / 3 * 0.3
    level = 0.3 + SLOPE * np.log10(1.0)
    other_panel = 2 / 3 * 0.625 + 1 / 3 * 0.5 + (level - 0.5)
    expected = (plain_panel + STRANGER_TRUST * other_panel) / (1 + STRANGER_TRUST)
    found = tiny_model().bind([Candidate("small-1b", 10**9)]).predict(SHORT)
    assert found.quality.tolist() == pytest.approx([expected], abs=1e-3)
    assert found.likeness.tolist() == pytest.approx([0.5, 0.5])
    assert found.is_familiar


def test_the_panel_that_is_like_the_question_decides() -> None:
    found = tiny_model().bind([Candidate("middle-8b", 8 * 10**9)]).predict(CHOSEN)
    assert found.likeness[1] > 0.99
    assert found.quality.tolist() == pytest.approx([2 / 3 * 0.625 + 1 / 3 * 0.5], abs=0.01)


def test_a_long_question_falls_into_another_leaf() -> None:
    small = Candidate("small-1b", 10**9)
    assert predicted(tiny_model(), "a" * (LONG + 1), small)[0] < predicted(tiny_model(), "a" * LONG, small)[0] - 0.1


def test_candidates_do_not_disturb_one_another_and_keep_their_order() -> None:
    model = tiny_model()
    each = [Candidate("small-1b", 10**9), Candidate("large-70b", 70 * 10**9), Candidate("new", 3 * 10**9)]
    together = predicted(model, SHORT, *each)
    assert together == pytest.approx([predicted(model, SHORT, one)[0] for one in each], abs=1e-6)
    assert predicted(model, SHORT, *reversed(each)) == pytest.approx(together[::-1], abs=1e-6)


@pytest.mark.parametrize("name", ["org/Small-1b", "small-1b", "SMALL-1B", "else/small-1b", "small-1b-int8"])
def test_a_model_is_known_by_its_plain_name(name: str) -> None:
    assert plain(name) == "small-1b"
    assert tiny_model().knows(Candidate(name)) == ("plain",)


def test_an_unseen_model_falls_between_the_skills_around_it() -> None:
    sizes = [Candidate(f"new-{size}b", size * 10**9) for size in (1, 8, 70)]
    for text in (SHORT, CHOSEN, "a" * 90):
        small, middle, large = predicted(tiny_model(), text, *sizes)
        assert small < middle < large
    low, between, high = predicted(
        tiny_model(), SHORT, Candidate("small-1b"), Candidate("new-8b", 8 * 10**9), Candidate("large-70b")
    )
    assert low < between < high


def test_an_unseen_model_of_unknown_size_is_an_average_one() -> None:
    model = tiny_model()
    assert model.knows(Candidate("nobody")) == ()
    low, average, high = predicted(model, SHORT, Candidate("small-1b"), Candidate("nobody"), Candidate("large-70b"))
    assert low < average < high


def test_no_size_is_too_small_or_too_large() -> None:
    found = predicted(tiny_model(), SHORT, Candidate("dot", 1), Candidate("sky", 10**15))
    assert np.isfinite(found).all()
    assert found[0] < found[1] < 1.5


def test_an_unlike_question_is_told() -> None:
    predictor = tiny_model().bind([Candidate("small-1b")])
    assert not predictor.predict(UNLIKE).is_familiar
    assert predictor.distance(structure(UNLIKE)) > predictor.distance(structure(SHORT))


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_any_text_is_predicted_finite_by_the_packaged_artefact(packaged: QualityModel, text: str) -> None:
    candidates = [Candidate("gpt-4-1106-preview"), Candidate("new-3b", 3 * 10**9), Candidate("nobody")]
    found = packaged.bind(candidates).predict(text)
    assert np.isfinite(found.quality).all()
    assert float(found.likeness.sum()) == pytest.approx(1.0, abs=1e-5)
    assert (np.abs(found.quality - 0.5) < 1.0).all()


def test_the_packaged_artefact_ranks_unseen_models_by_size(packaged: QualityModel) -> None:
    sizes = [Candidate(f"new-{size}b", size * 10**9) for size in (1, 7, 70)]
    predictor = packaged.bind(sizes)
    texts = ["What is the capital of France?", "If 3 pens cost $4.50, how much do 7 pens cost?", CHOSEN]
    small, middle, large = np.mean([predictor.predict(text).quality for text in texts], axis=0)
    assert small < middle < large


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    model = load(written(tmp_path))
    assert len(model.sha256) == 64
    assert model.panels == ("plain", "choices")
    assert predicted(model, SHORT, Candidate("small-1b")) == predicted(tiny_model(), SHORT, Candidate("small-1b"))


def test_every_panel_of_the_packaged_artefact_has_its_own_leaves(packaged: QualityModel) -> None:
    trees = packaged.card["trees_per_panel"]
    leaf_of, first = packaged.array("leaf_of"), 0
    for place, name in enumerate(packaged.panels):
        own = leaf_of[place * trees : (place + 1) * trees]
        last = first + packaged.card["panels"][name]["leaves"]
        assert (own.min(), own.max()) == (first, last - 1)
        first = last


def test_an_order_that_is_not_the_panels_is_refused(tmp_path: Path) -> None:
    written(tmp_path, order=["plain", "plain"])
    with pytest.raises(ConfigError, match=rf"{tmp_path}: quality card: order .* does not name its panels"):
        load(tmp_path)


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    blob = bytearray((tmp_path / WEIGHTS_FILE).read_bytes())
    blob[-1] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(blob)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/{WEIGHTS_FILE}: sha256 .* train or install it again"):
        load(tmp_path)


@pytest.mark.parametrize("other", [{"format_version": 99}, {"format": "headrace-difficulty"}])
def test_another_format_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    written(tmp_path, **other)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/{CARD_FILE}: format .*train it again"):
        load(tmp_path)


def test_a_missing_artefact_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"{tmp_path}/none: no readable headrace-quality.*headrace router train --model quality`"
    ):
        load(tmp_path / "none")


def test_other_feature_names_are_refused(tmp_path: Path) -> None:
    written(tmp_path, shape=["chars", "moods"])
    with pytest.raises(
        ConfigError, match=rf"{tmp_path}: .*other features; run `headrace router train --model quality`"
    ):
        load(tmp_path)


def test_a_card_without_its_parts_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    del card["skill"], card["familiar"]
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=rf"{tmp_path}: quality card without skill, familiar; run"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "array"), [("gate", np.zeros((3, 2), "<f4")), ("values.plain", np.zeros((2, 3), "<f2")), ("centre", None)]
)
def test_weights_of_another_shape_are_refused(tmp_path: Path, name: str, array: Any) -> None:
    arrays = tiny_arrays()
    del arrays[name]
    written(tmp_path, arrays if array is None else {**arrays, name: array})
    with pytest.raises(ConfigError, match=rf"{tmp_path}: quality weights: {name} is .*; run"):
        load(tmp_path)
