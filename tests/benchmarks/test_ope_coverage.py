import csv

import numpy as np
import pytest

from benchmarks.ope_coverage import EPSILONS, MODELS, RESULT, REWARDS, SIZES, World, mean_reward, rows, simulate, truth
from headrace.router.replay.estimators import NAMES
from headrace.router.replay.report import FEW


def test_propensities_are_the_frequencies() -> None:
    logged = simulate(World(0.4, "quality", "good", 5000), 4, np.random.default_rng(1))
    rare = logged.propensity < 0.5
    assert set(np.unique(logged.propensity)) == {0.2, 0.8}
    assert float(rare.mean()) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("reward", REWARDS)
def test_rewards_have_the_mean_they_claim(reward: str) -> None:
    random = np.random.default_rng(1)
    logged = simulate(World(0.5, reward, "good", 50_000), 4, random)
    assert float((logged.reward - logged.model_logged / 0.95).mean() / logged.reward.mean()) == pytest.approx(
        0, abs=0.01
    )


def test_the_truth_lies_between_the_tiers() -> None:
    value = truth("quality", np.random.default_rng(1))
    every = np.linspace(0, 1, 101)
    assert float(mean_reward("quality", every, np.zeros(101)).min()) < value < 0.95


def test_a_row_a_estimator() -> None:
    random = np.random.default_rng(1)
    found = list(rows(World(0.5, "quality", "bad", 300), truth("quality", random), 50, random))
    assert [row.estimator for row in found] == list(NAMES)
    assert all(row.rmse >= abs(row.bias) - 1e-9 for row in found)


def test_the_recorded_intervals_hold_the_truth_where_there_is_overlap() -> None:
    with RESULT.open() as source:
        lines = list(csv.DictReader(source))
    assert len(lines) == len(EPSILONS) * len(MODELS) * len(SIZES) * len(REWARDS) * len(NAMES)
    supported = [line for line in lines if float(line["effective"]) >= FEW and line["estimator"] != "dm"]
    assert len(supported) > len(lines) / 2
    assert all(0.9 <= float(line["coverage"]) <= 0.99 for line in supported)
