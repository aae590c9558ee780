import numpy as np
import pytest

from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.compose import Result
from headrace.router.training.constrain import LATE_SHARE, Arm, Limit, choose, nearest, tried

QUESTIONS = 200
LARGE = Arm(np.ones(QUESTIONS), np.full(QUESTIONS, 100.0), np.full(QUESTIONS, 5.0))
BOOTSTRAP = Bootstrap.of(np.arange(QUESTIONS), resamples=300)


def kept(share: float) -> Arm:
    """Return a cascade that keeps a share of cheap, quick drafts, a fifth of them wrong."""
    drafts = np.arange(QUESTIONS) < share * QUESTIONS
    wrong = drafts & (np.arange(QUESTIONS) % 5 == 0)
    return Arm(1.0 - wrong, np.where(drafts, 10.0, 110.0), np.where(drafts, 1.0, 6.0))


ARMS = {risk: kept(5 * risk) for risk in (0.01, 0.02, 0.05, 0.1, 0.2)}


def test_results_become_columns() -> None:
    arm = Arm.of([Result(right=True, cost_microusd=2.0, seconds=3.0, model="m")])
    assert (arm.right.tolist(), arm.cost.tolist(), arm.seconds.tolist()) == ([1.0], [2.0], [3.0])
    assert arm.rows(np.array([0, 0])).cost.tolist() == [2.0, 2.0]


def test_a_loss_is_bounded_with_room_for_chance_and_the_cheapest_within_is_taken() -> None:
    limit = Limit("max_loss", 0.1)
    trials = tried(limit, ARMS, LARGE, BOOTSTRAP)
    assert [one.max_risk for one in trials] == sorted(ARMS)
    chosen = choose(limit, trials)
    assert chosen is not None
    assert chosen.max_risk == 0.05
    assert chosen.burden < chosen.bound <= 0.1
    assert next(one for one in trials if one.max_risk == 0.1).burden == pytest.approx(0.1)


def test_money_is_bounded_and_the_best_within_is_taken() -> None:
    limit = Limit("max_usd_per_1k", 0.095)
    trials = tried(limit, ARMS, LARGE, BOOTSTRAP)
    assert [one.max_risk for one in trials] == sorted(ARMS, reverse=True)
    chosen = choose(limit, trials)
    assert chosen is not None
    assert chosen.max_risk == 0.05
    assert chosen.burden == pytest.approx(0.085)


def test_at_most_a_share_may_come_late() -> None:
    assert Limit("max_latency_s", 5.5).bar == LATE_SHARE
    assert choose(Limit("max_latency_s", 5.5), tried(Limit("max_latency_s", 5.5), ARMS, LARGE, BOOTSTRAP)) is not None
    assert choose(Limit("max_latency_s", 6.5), tried(Limit("max_latency_s", 6.5), ARMS, LARGE, BOOTSTRAP)) is not None
    assert choose(Limit("max_latency_s", 0.5), tried(Limit("max_latency_s", 0.5), ARMS, LARGE, BOOTSTRAP)) is None


def test_nothing_behind_the_first_failure_is_certified() -> None:
    arms = {0.1: kept(0.05), 0.2: kept(0.9), 0.3: kept(0.05)}
    trials = tried(Limit("max_loss", 0.05), arms, LARGE, BOOTSTRAP)
    assert [one.is_certified for one in trials] == [True, False, False]


def test_the_nearest_is_the_one_with_the_least_bound() -> None:
    trials = tried(Limit("max_usd_per_1k", 0.001), ARMS, LARGE, BOOTSTRAP)
    assert choose(Limit("max_usd_per_1k", 0.001), trials) is None
    assert nearest(trials).max_risk == 0.2


def test_of_equals_the_less_accepted_risk_is_taken() -> None:
    limit = Limit("max_usd_per_1k", 1.0)
    chosen = choose(limit, tried(limit, {0.1: LARGE, 0.2: LARGE}, LARGE, BOOTSTRAP))
    assert chosen is not None
    assert chosen.max_risk == 0.1
