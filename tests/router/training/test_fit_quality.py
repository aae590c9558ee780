from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]

from headrace.router.quality.forest import DEPTH, Forest
from headrace.router.quality.model import Candidate
from headrace.router.quality.structure import NAMES, structure
from headrace.router.training.fit_quality import TREES, TYPICAL_SLOPE, Fitted, _laid_out, fit_quality, shapes_of
from headrace.router.training.panels import Panel
from tests.router.training.conftest import is_hard, text_of

SMALL, LARGE = "small-2b", "large-70b"
NAMES_OF_PANELS = ("one", "two", "three")
HARD, EASY = text_of(2), text_of(1)


def panel(name: str, count: int = 40) -> Panel:
    """Return questions that the large model always knows and the small one knows if they are easy."""
    numbers = range(count)
    ids = tuple(f"{name}:{number}" for number in numbers)
    weak = np.array([float(not is_hard(number)) for number in numbers])
    return Panel(
        name=name,
        question_ids=ids,
        texts=tuple(f"{text_of(number)} {name}" for number in numbers),
        subjects=("any",) * count,
        groups=ids,
        fold=np.array([number % 5 for number in numbers]),
        models=(SMALL, LARGE, f"{name}-closed"),
        parameters=(2 * 10**9, 70 * 10**9, 0),
        right=np.stack([weak, np.ones(count), np.ones(count)], axis=1),
        gain=1 - weak,
    )


def panels() -> list[Panel]:
    return [panel(name) for name in NAMES_OF_PANELS]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_quality(panels())


def test_the_laid_out_forest_finds_the_leaves_that_the_fitted_trees_find() -> None:
    random = np.random.default_rng(3)
    shape = random.normal(size=(100, 7)).astype(np.float32)
    trees = ExtraTreesRegressor(8, max_depth=DEPTH, min_samples_leaf=2, random_state=1).fit(shape, shape[:, 0] > 0)
    features, thresholds, ends = (np.stack(rows) for rows in zip(*map(_laid_out, map(tree_of, trees)), strict=True))
    forest = Forest(features, thresholds, ends.astype(np.int32))
    # Besides fresh rows: values on a threshold and next to it, where float32 and float64 may part ways.
    edges = thresholds[np.isfinite(thresholds)][:60, None].repeat(7, axis=1)
    aside = [np.nextafter(edges, np.float32(side)) for side in (-np.inf, np.inf)]
    rows = np.concatenate([shape, random.normal(size=(60, 7)).astype(np.float32), edges, *aside])
    assert (np.stack([forest.leaf_numbers(row) for row in rows]) == trees.apply(rows)).all()


def tree_of(fitted: object) -> object:
    return fitted.tree_  # type: ignore[attr-defined]


def test_what_is_gained_on_hard_questions_is_learned(fitted: Fitted) -> None:
    predictor = fitted.model().bind([Candidate(SMALL), Candidate(LARGE)])
    hard, easy = predictor.predict(HARD).quality, predictor.predict(EASY).quality
    assert hard[1] - hard[0] > easy[1] - easy[0] + 0.2


def test_the_card_tells_panels_features_and_skill(fitted: Fitted) -> None:
    assert fitted.card["shape"] == list(NAMES)
    assert tuple(fitted.card["panels"]) == NAMES_OF_PANELS
    assert fitted.card["trees_per_panel"] == TREES
    about = fitted.card["panels"]["two"]
    assert (about["questions"], about["right"]) == (40, [0.5, 1.0, 1.0])
    assert fitted.arrays["features"].shape[0] == TREES * (len(NAMES_OF_PANELS) + 1)
    # 0.5 more for 35 times the parameters; those of the closed model are not known.
    assert fitted.card["skill"]["slope"] == pytest.approx(0.5 / np.log10(35), abs=1e-4)
    assert about["skill_at_1b"] == pytest.approx(0.5 - np.log10(2) * 0.5 / np.log10(35), abs=1e-4)


def test_leaves_lean_to_the_models_mean_and_stay_within_0_and_1(fitted: Fitted) -> None:
    values = fitted.arrays["values.one"]
    assert ((values >= 0) & (values <= 1)).all()
    assert (values[:, 0] > 0).all()
    assert (values[:, 1] > values[:, 0].mean()).all()


def test_the_same_data_gives_the_same_arrays(fitted: Fitted) -> None:
    again = fit_quality(panels(), [shapes_of(one.texts) for one in panels()])
    assert again.card == fitted.card
    assert again.arrays.keys() == fitted.arrays.keys()
    assert all(array.tobytes() == again.arrays[name].tobytes() for name, array in fitted.arrays.items())


def test_a_missing_outcome_counts_as_the_models_mean() -> None:
    patchy = panels()
    patchy[1].right[0, 1] = np.nan
    fitted = fit_quality(patchy)
    assert all(np.isfinite(array).all() for name, array in fitted.arrays.items() if name != "thresholds")
    assert fitted.card["panels"]["two"]["right"] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("count", [1, 2])
def test_one_panel_or_two_do(count: int) -> None:
    predictor = fit_quality(panels()[:count]).model().bind([Candidate(SMALL), Candidate(LARGE)])
    hard, easy = predictor.predict(HARD), predictor.predict(EASY)
    assert hard.likeness.tolist() == pytest.approx([1 / count] * count, abs=0.2)
    assert hard.quality[1] - hard.quality[0] > easy.quality[1] - easy.quality[0] + 0.2


def test_a_panel_without_sizes_starts_where_its_average_model_is_average() -> None:
    unsized = [panel("one"), replace(panel("two"), parameters=(0, 0, 0))]
    about = fit_quality(unsized).card["panels"]["two"]
    middle = np.log10([2, 70]).mean()
    assert about["skill_at_1b"] == pytest.approx(2.5 / 3 - middle * 0.5 / np.log10(35), abs=1e-3)
    assert fit_quality([replace(panel("two"), parameters=(0, 0, 0))]).card["skill"]["slope"] == TYPICAL_SLOPE


def test_what_strangers_gain_is_learned_from_all_panels(fitted: Fitted) -> None:
    assert fitted.card["pooled"]["gain_per_decade"] > 0
    predictor = fitted.model().bind([Candidate("new-2b", 2 * 10**9), Candidate("new-70b", 70 * 10**9)])
    hard, easy = predictor.predict(HARD).quality, predictor.predict(EASY).quality
    assert hard[1] - hard[0] > easy[1] - easy[0] + 0.1


def test_training_questions_are_familiar(fitted: Fitted) -> None:
    predictor = fitted.model().bind([Candidate(SMALL)])
    most = fitted.card["familiar"]["most_distance"]
    away = [predictor.distance(structure(text)) for one in panels() for text in one.texts]
    assert sum(distance > most + 1e-4 for distance in away) <= 0.02 * len(away)
    assert not predictor.predict("\\{}[]=<>^+*/%$" * 100).is_familiar
