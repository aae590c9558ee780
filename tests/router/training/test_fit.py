from pathlib import Path

import numpy as np
import pytest

from headrace.router.difficulty.artefact import write_artefact
from headrace.router.difficulty.model import load
from headrace.router.training.corpus import Example, read_source
from headrace.router.training.design import Design
from headrace.router.training.fit import fit_gain, fit_model
from headrace.router.training.roles import ROLES


@pytest.fixture
def examples(data: Path) -> list[Example]:
    return [one for source in sorted(ROLES) for one in read_source(data, source)]


def test_the_gain_is_learned(examples: list[Example]) -> None:
    design = Design.of([one.text for one in examples])
    linear = fit_gain(design, np.array([one.gain or 0.0 for one in examples]), np.ones(len(examples)))
    score = linear.gain(design)
    hard = np.array(["polynomial" in one.text for one in examples])
    assert score[hard].min() > score[~hard].max()


def test_what_is_served_is_what_was_fitted(examples: list[Example], tmp_path: Path) -> None:
    fitted = fit_model(examples)
    write_artefact(tmp_path / "artefact", fitted.card, fitted.arrays)
    model = load(tmp_path / "artefact")
    texts = [one.text for one in examples[:20]]
    design = Design.of([one.text for one in examples])
    linear = fit_gain(design, np.array([one.gain or 0.0 for one in examples]), np.ones(len(examples)))
    expected = linear.gain(Design.of(texts))
    served = np.array([model.parts(text).score for text in texts])
    np.testing.assert_allclose(served, expected, atol=0.02)


def test_the_card_tells_how_well_it_did_on_what_it_had_not_seen(examples: list[Example]) -> None:
    held = fit_model(examples).card["held_out"]
    assert held["brier"] < held["brier_of_base_rate"]
    assert 0.0 <= held["expected_calibration_error"] < 0.2
