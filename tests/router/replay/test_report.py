from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from headrace.contracts.policy import Affinity, BudgetPacing, Comparison, Latency, Policy, Rule
from headrace.router.replay.decisions import replanner
from headrace.router.replay.log import Log
from headrace.router.replay.report import Report, replay
from tests.support.replaying import Traffic, lined, traffic
from tests.support.routing import auto, card, hard, policy

NEW = lined(0.3)


def replayed(logged: Traffic, chosen: Policy, scores: Mapping[str, float] | None = None) -> Report:
    return replay(logged.log, chosen, replanner(chosen, lambda _model, _domain: True), scores=scores)


@pytest.fixture(scope="module")
def explored() -> Report:
    logged = traffic(lined(0.6, epsilon=0.3), 3000)
    return replayed(logged, NEW, logged.scores)


def test_every_metric_is_estimated_near_the_truth(explored: Report) -> None:
    true = traffic(NEW, 3000, seed=2)
    truths = {
        "cost": np.mean([entry.cost_microusd for entry in true.entries]),
        "latency": np.mean([entry.total_s for entry in true.entries]),
        "quality": np.mean(list(true.scores.values())),
    }
    assert set(explored.worth) == set(truths)
    for metric, worth in explored.worth.items():
        assert set(worth.estimates) == {"ips", "snips", "dr", "dm"}
        for name in ("ips", "snips", "dr"):
            figure = worth.estimates[name]
            assert figure.low < figure.value < figure.high
            assert figure.value == pytest.approx(float(truths[metric]), abs=1.5 * (figure.high - figure.low) / 2)


def test_the_crossfitted_interval_holds_the_truth_as_often_as_it_claims() -> None:
    true = traffic(NEW, 20_000, seed=99)
    quality = float(np.mean(list(true.scores.values())))
    held = 0
    for seed in range(40):
        logged = traffic(lined(0.6, epsilon=0.4), 400, seed=seed)
        figure = replayed(logged, NEW, logged.scores).worth["quality"].estimates["dr"]
        held += figure.low <= quality <= figure.high
    assert held >= 34


def test_a_change_is_relative_to_what_was_logged(explored: Report) -> None:
    worth = explored.worth["cost"]
    assert worth.change is not None
    assert worth.change.value == pytest.approx(worth.estimates["dr"].value / worth.logged - 1)


def test_with_exploration_everything_has_support(explored: Report) -> None:
    assert explored.overlap is not None
    assert explored.overlap.unsupported == 0.0
    assert explored.overlap.largest_weight == pytest.approx(1 / 0.15)
    assert 100 < explored.overlap.effective_size < 3000
    assert explored.warnings == ()


def test_a_deterministic_log_supports_no_other_decision_and_says_so() -> None:
    logged = traffic(lined(0.6), 400)
    report = replayed(logged, NEW, logged.scores)
    assert report.overlap is not None
    assert report.overlap.unsupported == pytest.approx(report.changed)
    assert set(report.worth["cost"].estimates) == {"dr", "dm"}
    assert any(warning.startswith("no support for") for warning in report.warnings)


def test_what_stays_is_taken_from_the_log_and_not_from_the_model() -> None:
    logged = traffic(lined(0.6), 400)
    report = replayed(logged, lined(0.6), logged.scores)
    for worth in report.worth.values():
        assert worth.estimates["dr"].value == pytest.approx(worth.logged)
        assert worth.change is not None
        assert worth.change.value == pytest.approx(0.0)


def test_a_tier_that_explored_requests_never_saw_has_no_support() -> None:
    logged = traffic(lined(0.6, epsilon=0.3), 200)
    renamed = policy(NEW.virtual_models["headrace/auto"], cards={"large-backend": card("giant-model", price="50")})
    report = replayed(logged, renamed)
    assert report.overlap is not None
    assert report.overlap.unsupported > 0
    assert any(warning.startswith("giant-model: never tried") for warning in report.warnings)


def test_quality_rests_on_graded_requests_alone() -> None:
    logged = traffic(lined(0.6, epsilon=0.3), 300)
    some = dict(list(logged.scores.items())[:120])
    report = replayed(logged, NEW, some)
    assert (report.worth["quality"].requests, report.worth["cost"].requests) == (120, 300)
    assert "quality" not in replayed(logged, NEW).worth


def test_feedback_in_the_ledger_is_a_grade_unless_outcomes_say_otherwise() -> None:
    log = replace(traffic(lined(), 200).log, feedback={f"dec_{number:032x}": 0.0 for number in range(50)})
    plan = replanner(NEW, lambda _model, _domain: True)
    assert replay(log, NEW, plan).worth["quality"].logged == 0.0
    better = replay(log, NEW, plan, scores={f"dec_{0:032x}": 1.0}).worth["quality"]
    assert (better.requests, better.logged) == (50, pytest.approx(0.02))


def test_few_requests_are_a_weak_ground() -> None:
    assert any(warning.startswith("weak overlap") for warning in replayed(traffic(lined(), 20), lined()).warnings)


def test_a_judging_policy_says_that_the_bar_is_the_logs() -> None:
    assert any("max_risk" in warning for warning in replayed(traffic(policy(), 20), policy()).warnings)


def test_a_header_that_no_record_carries_is_told_where_a_rule_reads_it() -> None:
    when = Comparison("header", "eq", "a", "x-team")
    asked = policy(auto(select=(Rule("team", when, "large"), Rule("default", None, "small")), on_low_confidence=None))
    assert any("header x-team" in warning for warning in replayed(traffic(lined(), 5), asked).warnings)


def test_later_turns_of_a_conversation_are_told_where_affinity_would_count() -> None:
    sticky = policy(auto(on_low_confidence=None, affinity=Affinity("conversation")))
    (entry, *_) = traffic(lined(), 1).entries
    turn = msgspec.structs.replace(entry, features=msgspec.structs.replace(entry.features, turns=3))
    report = replay(Log((entry, turn)), sticky, replanner(sticky, lambda _model, _domain: True))
    assert any("affinity is not replayed" in warning and "1 requests" in warning for warning in report.warnings)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_handful_of_requests_is_no_crash(n: int) -> None:
    logged = traffic(lined(0.6, epsilon=0.5), n)
    report = replayed(logged, NEW, logged.scores)
    assert report.requests == n


def test_an_empty_log_has_no_worth() -> None:
    report = replay(Log(()), NEW, replanner(NEW, lambda _model, _domain: True))
    assert (report.requests, report.changed, report.overlap, dict(report.worth)) == (0, 0.0, None, {})


def test_refused_requests_stand_in_no_estimate() -> None:
    narrow = policy(cards={f"{tier}-backend": card(f"{tier}-model", context_tokens=200) for tier in ("small", "large")})
    report = replayed(traffic(lined(), 200), narrow)
    assert 0 < report.refused < 200
    assert report.worth["cost"].requests == 200 - report.refused


def test_strategies_that_hang_on_the_moment_are_told() -> None:
    uses = (Latency("large", 1.0), BudgetPacing("large", "small", 1))
    rules = (Rule("hard", hard(), uses[0]), Rule("default", None, uses[1]))
    moment = policy(auto(on_low_confidence=None, select=rules))
    told = replay(Log(()), moment, replanner(moment, lambda _model, _domain: True)).warnings
    assert [warning.split(" ")[0] for warning in told] == ["`latency`", "`budget`"]
