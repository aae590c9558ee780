import numpy as np
import pytest

from headrace.router.training.answer_metrics import (
    aurc,
    auroc,
    bootstrapped,
    brier,
    difference,
    ece,
    measured,
    reliability,
    risk_coverage,
)

RIGHT = np.array([1.0, 1.0, 0.0, 0.0])
BEST, WORST, SAME = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)


def test_a_perfect_score_has_an_auroc_of_one_and_ties_count_half() -> None:
    assert [measured(auroc, score, RIGHT) for score in (BEST, WORST, SAME)] == [1.0, 0.0, 0.5]
    assert np.isnan(measured(auroc, np.zeros(2), np.ones(2)))


def test_the_area_of_risk_is_least_for_the_best_order_and_the_base_rate_for_none() -> None:
    best, worst, same = (measured(aurc, score, RIGHT) for score in (BEST, WORST, SAME))
    assert best == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert same == pytest.approx(0.5)
    assert best < same < worst


def test_risk_starts_with_the_surest_answer() -> None:
    coverage, risk = risk_coverage(np.array([4.0, 1.0, 3.0, 2.0]), RIGHT)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0.0, 0.5, 2 / 3, 0.5])


def test_an_honest_probability_has_no_calibration_error() -> None:
    chance = np.repeat([0.0, 0.5, 1.0], [40, 20, 40])
    right = np.concatenate([np.zeros(40), np.tile([0.0, 1.0], 10), np.ones(40)])
    assert measured(ece, chance, right) == pytest.approx(0.0)
    assert measured(brier, chance, right) == pytest.approx(5 / 100)
    assert (0.5, 0.5, 10) in reliability(chance, right)
    assert measured(ece, 1.0 - chance, right) == pytest.approx(0.8)


@pytest.mark.parametrize("measure", [auroc, aurc, brier, ece])
def test_weights_count_an_answer_as_often_as_they_say(measure: object) -> None:
    rng = np.random.default_rng(5)
    score, right = rng.random(20), np.tile([0.0, 1.0], 10)
    doubled = measured(measure, np.tile(score, 2), np.tile(right, 2))  # type: ignore[arg-type]
    assert measure(score, right, np.full((1, 20), 2.0))[0] == pytest.approx(doubled)  # type: ignore[operator]


def test_an_interval_holds_its_figure_and_a_paired_difference_of_nothing_is_zero() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(300)
    right = (rng.random(300) < score).astype(np.float64)
    seen = bootstrapped(auroc, score, right, resamples=200, seed=2)
    assert 0.5 < seen.low < seen.value < seen.high
    none = difference(auroc, score, score, right, resamples=50, seed=2)
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
