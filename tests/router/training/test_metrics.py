import numpy as np
import pytest

from headrace.router.training.metrics import Outcomes, apgr, cpt, group_numbers, interval, measure, resampled


def outcomes(weak: list[float], strong: list[float]) -> Outcomes:
    return Outcomes(np.array(weak), np.array(strong), np.arange(len(weak)))


def test_a_perfect_order_is_above_chance_and_its_reverse_below() -> None:
    pair = outcomes([0, 0, 1, 1], [1, 1, 1, 1])
    assert apgr(np.array([4.0, 3.0, 2.0, 1.0]), pair) == pytest.approx(0.75)
    assert apgr(np.array([1.0, 2.0, 3.0, 4.0]), pair) == pytest.approx(0.25)


def test_the_oracle_may_pass_one_where_the_weak_model_wins_some() -> None:
    pair = outcomes([0, 0, 1, 1, 1], [1, 1, 0, 1, 1])
    assert apgr(np.array([5.0, 4.0, -1.0, 0.0, 0.0]), pair) > 1.0


def test_random_scores_average_to_one_half() -> None:
    rng = np.random.default_rng(7)
    pair = outcomes(list(rng.integers(0, 2, 400).astype(float)), [1.0] * 400)
    assert np.mean([apgr(rng.random(400), pair) for _ in range(200)]) == pytest.approx(0.5, abs=0.02)


def test_the_least_share_that_reaches_a_target_is_found() -> None:
    pair = outcomes([0, 0, 1, 1], [1, 1, 1, 1])
    assert cpt(np.array([4.0, 3.0, 2.0, 1.0]), pair, 0.5) == 0.25
    assert cpt(np.array([4.0, 3.0, 2.0, 1.0]), pair, 0.8) == 0.5


def test_differences_are_paired_with_the_baseline() -> None:
    pair = outcomes([0, 0, 1, 1] * 10, [1] * 40)
    scores = {"base": np.tile([4.0, 3.0, 2.0, 1.0], 10), "same": np.tile([4.0, 3.0, 2.0, 1.0], 10)}
    measured = measure(scores, pair, baseline="base", seed=1, resamples=50)
    assert measured["same"].versus_length.low == measured["same"].versus_length.high == 0.0
    assert measured["base"].apgr.low <= measured["base"].apgr.value <= measured["base"].apgr.high
    assert measured["base"].half_accuracy == 100 / 100


def test_whole_groups_are_drawn() -> None:
    group = group_numbers(["a", "b", "a", "c"])
    for rows in resampled(group, 20, seed=3):
        assert np.count_nonzero(rows == 0) == np.count_nonzero(rows == 2)


def test_an_interval_spans_the_draws() -> None:
    one = interval(0.5, np.linspace(0, 1, 1001))
    assert (one.value, one.low, one.high) == (0.5, pytest.approx(0.025), pytest.approx(0.975))
    assert str(one) == "0.500 [0.025, 0.975]"
