from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE
from headrace.router.quality.model import Candidate, load
from headrace.router.training.fit_quality import fit_quality
from headrace.router.training.train_quality import panels_hash, train_quality
from tests.router.training.test_fit_quality import EASY, HARD, NAMES_OF_PANELS, SMALL, panel, panels


def test_the_same_panels_give_the_same_bytes_and_an_artefact_that_loads(tmp_path: Path) -> None:
    cards = [train_quality(panels(), tmp_path / name) for name in ("one", "two")]
    for file in (CARD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    model = load(tmp_path / "one")
    assert model.sha256 == cards[0]["weights_sha256"]
    assert model.card == {**cards[0], "format": "headrace-quality", "format_version": 1}
    predictor = model.bind([Candidate(SMALL)])
    assert predictor.predict(HARD).quality[0] < predictor.predict(EASY).quality[0] - 0.2


def test_what_is_loaded_predicts_what_was_fitted_whatever_the_order_of_the_panels(tmp_path: Path) -> None:
    train_quality(panels(), tmp_path)
    candidates = [Candidate(SMALL), Candidate("two-closed"), Candidate("new", 8 * 10**9)]
    fitted, loaded = fit_quality(panels()).model(), load(tmp_path)
    assert fitted.panels == loaded.panels == NAMES_OF_PANELS
    for text in (HARD, EASY, "", "Which one?"):
        one, other = (model.bind(candidates).predict(text) for model in (fitted, loaded))
        assert (one.quality == other.quality).all()
        assert (one.likeness == other.likeness).all()


def test_the_data_hash_covers_texts_models_sizes_and_outcomes() -> None:
    first = panel("one")
    others = [
        replace(first, texts=("?", *first.texts[1:])),
        replace(first, models=("other", *first.models[1:])),
        replace(first, parameters=(1, *first.parameters[1:])),
        replace(first, right=1 - first.right),
        replace(first, gain=np.zeros_like(first.gain)),
        replace(first, name="other"),
    ]
    assert panels_hash([first]) == panels_hash([replace(first, right=first.right.copy())])
    assert len({panels_hash([one]) for one in (first, *others)}) == len(others) + 1


@pytest.mark.parametrize(("model", "told"), [("quality", "8 panels"), ("difficulty", "examples, Brier")])
def test_the_command_trains_either_model(data: Path, model: str, told: str) -> None:
    out = data / model
    result = CliRunner().invoke(app, ["train", "--model", model, "--out", str(out)], catch_exceptions=False)
    assert told in result.output
    assert (out / "weights.safetensors").exists()


def test_the_command_writes_the_evaluation_into_a_page(data: Path) -> None:
    page = data / "page.md"
    result = CliRunner().invoke(app, ["eval", "--resamples", "2", "--out", str(page)], catch_exceptions=False)
    assert "written" in result.output
    assert "oracle" in page.read_text(encoding="utf-8")
