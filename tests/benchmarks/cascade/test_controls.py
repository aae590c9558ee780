import numpy as np
import pytest

from benchmarks.cascade.controls import best_constant, coin, hull, oracle, scored
from tests.support.recorded import SIZE, answers, hardness

EASY = hardness() < 0.5
WEAK = answers(EASY, cost=2.0)
STRONG = answers(np.ones(SIZE, dtype=np.bool_), cost=100.0)


def point(right: float, cost: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    return np.array([right]), np.array([cost])


def test_the_coin_lies_on_the_line_between_two_models() -> None:
    found = coin(point(0.5, 0.0), point(0.9, 10.0), np.array([-1.0, 5.0, 20.0]))
    assert found == pytest.approx([0.5, 0.7, 0.9])


def test_the_hull_takes_the_best_pair_and_ignores_a_bad_model() -> None:
    models = [point(0.2, 1.0), point(0.1, 5.0), point(0.9, 9.0)]
    assert hull(models, np.array([0.5]))[0] == 0.2
    assert hull(models, np.array([5.0]))[0] == pytest.approx(0.55)
    assert hull(models, np.array([50.0]))[0] == 0.9


def test_a_score_spends_its_budget_exactly_on_the_highest() -> None:
    spent = scored(hardness(), WEAK, STRONG, 40.0)
    assert spent.cost.mean() == pytest.approx(40.0)
    assert spent.right[hardness() > 0.7].min() == 1.0
    assert scored(hardness(), WEAK, STRONG, 51.0).right.mean() == pytest.approx(1.0)
    assert scored(-hardness(), WEAK, STRONG, 40.0).right.mean() < spent.right.mean()


def test_the_oracle_pays_for_the_cheapest_right_answer() -> None:
    best = oracle((WEAK, STRONG))
    assert best.right.mean() == 1.0
    assert best.cost.mean() == pytest.approx(51.0)


def test_the_best_constant_is_named_on_the_other_folds_within_its_budget() -> None:
    fold = np.arange(SIZE) % 5
    assert best_constant([WEAK, STRONG], fold, np.inf).cost.mean() == 100.0
    assert best_constant([WEAK, STRONG], fold, 10.0).cost.mean() == 2.0
    assert best_constant([WEAK, STRONG], fold, 0.0).cost.mean() == 2.0
