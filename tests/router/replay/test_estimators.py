import math
from typing import get_args

import numpy as np
import pytest
from scipy.stats import t

from benchmarks.ope_coverage import World, simulate, truth
from headrace.router.replay.estimators import (
    NAMES,
    Name,
    Samples,
    change,
    contributions,
    effective,
    estimate,
    interval,
    student_t975,
)


def samples(**arrays: list[float]) -> Samples:
    given = {
        "reward": [1.0, 0.0, 1.0, 1.0],
        "propensity": [0.5, 0.5, 0.25, 1.0],
        "chosen": [1.0, 0.0, 1.0, 1.0],
        "model_logged": [0.5, 0.5, 0.5, 0.5],
        "model_new": [0.6, 0.6, 0.6, 0.6],
        **arrays,
    }
    return Samples(**{name: np.array(values) for name, values in given.items()})


def test_every_estimator_has_a_name() -> None:
    assert set(NAMES) == set(get_args(Name))


def test_ips_weighs_what_the_new_policy_would_have_done() -> None:
    assert float(estimate(samples(), "ips").value) == pytest.approx((2 + 4 + 1) / 4)


def test_snips_divides_by_the_weights_and_stays_within_the_rewards() -> None:
    assert float(estimate(samples(), "snips").value) == pytest.approx(1.0)
    shifted = samples(reward=[3.0, 9.0, 5.0, 4.0])
    assert float(estimate(shifted, "snips").value) == pytest.approx((2 * 3 + 4 * 5 + 4) / 7)


def test_doubly_robust_is_the_model_and_the_weighted_error_of_the_model() -> None:
    assert float(estimate(samples(), "dr").value) == pytest.approx(0.6 + (2 * 0.5 + 4 * 0.5 + 0.5) / 4)


def test_the_direct_method_is_the_models_word_alone() -> None:
    assert float(estimate(samples(), "dm").value) == pytest.approx(0.6)


def test_an_unchanged_deterministic_policy_is_worth_what_was_logged() -> None:
    same = samples(propensity=[1.0] * 4, chosen=[1.0] * 4, model_new=[0.5] * 4)
    for name in ("ips", "snips", "dr"):
        assert float(estimate(same, name).value) == pytest.approx(0.75)
        assert float(change(same, name).value) == pytest.approx(0.0)


def test_without_any_weight_only_models_answer() -> None:
    none = samples(chosen=[0.0] * 4)
    assert math.isnan(float(estimate(none, "ips").value))
    assert math.isnan(float(estimate(none, "snips").value))
    assert float(estimate(none, "dr").value) == pytest.approx(0.6)
    assert float(effective(none)) == 0.0


def test_a_change_is_relative_to_the_same_requests() -> None:
    found = change(samples(), "dm")
    assert float(found.value) == pytest.approx(0.6 / 0.75 - 1)
    assert float(found.low) < float(found.value) < float(found.high)


def test_a_change_of_nothing_is_unknown() -> None:
    assert math.isnan(float(change(samples(reward=[0.0] * 4), "dm").value))


def test_one_request_has_no_interval() -> None:
    found = interval(np.array([2.0]))
    assert float(found.value) == 2.0
    assert math.isnan(float(found.low))


def test_equal_contributions_leave_no_doubt() -> None:
    found = interval(np.full(10, 3.0))
    assert (float(found.low), float(found.high)) == (3.0, 3.0)


def test_without_skewness_the_interval_is_students() -> None:
    added = np.array([-1.0, 1.0] * 500)
    found = interval(added)
    assert float(found.high) == pytest.approx(1.96 * added.std(ddof=1) / math.sqrt(1000), rel=0.01)
    assert float(found.low) == pytest.approx(-float(found.high))


def test_heavy_contributions_lean_the_interval_to_their_side() -> None:
    found = interval(np.array([0.0] * 95 + [20.0] * 5))
    assert float(found.high - found.value) > 1.3 * float(found.value - found.low)


def test_the_effective_size_is_that_of_equal_weights() -> None:
    assert float(effective(samples(propensity=[0.5] * 4, chosen=[1.0] * 4))) == pytest.approx(4.0)
    assert float(effective(samples(propensity=[0.01, 1, 1, 1], chosen=[1.0] * 4))) < 1.1


@pytest.mark.parametrize("freedom", [2.0, 3.0, 5.0, 20.0, 400.0])
def test_students_quantile_is_within_a_hundredth(freedom: float) -> None:
    assert float(student_t975(np.array(freedom))) == pytest.approx(float(t.ppf(0.975, freedom)), rel=0.01)


def test_leading_axes_are_repetitions() -> None:
    two = Samples(*(np.stack([getattr(samples(), field)] * 2) for field in Samples.__slots__))
    for name in NAMES:
        assert contributions(two, name).shape == (2, 4)
        assert estimate(two, name).value.shape == (2,)


@pytest.mark.parametrize("reward", ["quality", "cost"])
@pytest.mark.parametrize("model", ["good", "bad"])
@pytest.mark.parametrize("epsilon", [0.2, 0.5])
def test_intervals_hold_the_truth_as_often_as_they_claim(reward: str, model: str, epsilon: float) -> None:
    random = np.random.default_rng(7)
    value = truth(reward, random)
    logged = simulate(World(epsilon, reward, model, 1000), 400, random)
    for name in ("ips", "snips", "dr"):
        found = estimate(logged, name)
        covered = float(((found.low <= value) & (value <= found.high)).mean())
        assert 0.9 <= covered <= 0.99
        assert abs(float(found.value.mean()) / value - 1) < 0.02


def test_a_bad_model_alone_is_wrong_and_doubly_robust_is_not() -> None:
    random = np.random.default_rng(7)
    value = truth("quality", random)
    logged = simulate(World(0.2, "quality", "bad", 1000), 200, random)
    assert abs(float(estimate(logged, "dm").value.mean()) - value) > 0.2
    assert abs(float(estimate(logged, "dr").value.mean()) - value) < 0.01


def test_a_good_model_makes_doubly_robust_sharper_than_ips() -> None:
    random = np.random.default_rng(7)
    logged = simulate(World(0.2, "quality", "good", 1000), 200, random)
    assert float(estimate(logged, "dr").value.std()) < 0.7 * float(estimate(logged, "ips").value.std())
