import numpy as np
import pytest

from headrace.router.training.answer_metrics import (
    aurc,
    auroc,
    bootstrapped,
    brier,
    difference,
    ece,
    reliability,
    risk_coverage,
)

RIGHT = np.array([1.0, 1.0, 0.0, 0.0])


def test_a_perfect_score_has_an_auroc_of_one_and_ties_count_half() -> None:
    assert auroc(np.array([4.0, 3.0, 2.0, 1.0]), RIGHT) == 1.0
    assert auroc(np.array([1.0, 2.0, 3.0, 4.0]), RIGHT) == 0.0
    assert auroc(np.zeros(4), RIGHT) == 0.5
    assert np.isnan(auroc(np.zeros(2), np.ones(2)))


def test_the_area_of_risk_is_least_for_the_best_order_and_the_base_rate_for_none() -> None:
    best, worst = aurc(np.array([4.0, 3.0, 2.0, 1.0]), RIGHT), aurc(np.array([1.0, 2.0, 3.0, 4.0]), RIGHT)
    assert best == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert aurc(np.zeros(4), RIGHT) == pytest.approx(0.5)
    assert best < 0.5 < worst


def test_risk_starts_with_the_surest_answer() -> None:
    coverage, risk = risk_coverage(np.array([4.0, 1.0, 3.0, 2.0]), RIGHT)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0.0, 0.5, 2 / 3, 0.5])


def test_an_honest_probability_has_no_calibration_error() -> None:
    chance = np.repeat([0.0, 0.5, 1.0], [100, 100, 100])
    right = np.concatenate([np.zeros(100), np.tile([0.0, 1.0], 50), np.ones(100)])
    assert ece(chance, right, bins=3) == pytest.approx(0.0)
    assert brier(chance, right) == pytest.approx(25 / 300)
    assert reliability(chance, right, bins=3) == [(0.0, 0.0, 100), (0.5, 0.5, 100), (1.0, 1.0, 100)]
    assert ece(1.0 - chance, right, bins=3) == pytest.approx(2 / 3)


def test_an_interval_holds_its_figure_and_a_paired_difference_of_nothing_is_zero() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(300)
    right = (rng.random(300) < score).astype(np.float64)
    seen = bootstrapped(auroc, score, right, resamples=200, seed=2)
    assert 0.5 < seen.low < seen.value < seen.high
    none = difference(auroc, score, score, right, resamples=50, seed=2)
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
