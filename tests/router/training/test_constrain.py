import pytest

from headrace.router.training.constrain import (
    ALL,
    NONE,
    Draft,
    realised,
    threshold_for_cost,
    threshold_for_latency,
)

DRAFTS = [
    Draft(
        score=n / 10, right=n >= 5, cost=1.0, seconds=0.1, other_right=True, other_cost=10.0, other_seconds=float(n + 1)
    )
    for n in range(10)
]


def test_the_ends_are_the_two_tiers() -> None:
    kept, escalated = realised(DRAFTS, NONE), realised(DRAFTS, ALL)
    assert (kept.right, kept.cost, kept.escalated) == (0.5, 1.0, 0.0)
    assert (escalated.right, escalated.cost, escalated.escalated) == (1.0, 11.0, 1.0)


@pytest.mark.parametrize("budget", [1.0, 2.0, 4.5, 6.0, 10.9])
def test_a_budget_is_used_up_and_not_passed(budget: float) -> None:
    floor = threshold_for_cost(DRAFTS, budget)
    found = realised(DRAFTS, floor)
    assert found.cost <= budget < found.cost + 1.0
    assert floor < ALL


def test_a_budget_beyond_everything_escalates_all_and_one_below_everything_nothing() -> None:
    assert threshold_for_cost(DRAFTS, 99.0) == ALL
    assert threshold_for_cost(DRAFTS, 0.5) == NONE


def test_a_limit_holds_for_the_share_asked_for() -> None:
    floor = threshold_for_latency(DRAFTS, 4.2, share=0.9)
    assert realised(DRAFTS, floor, share=0.9).seconds <= 4.2
    assert threshold_for_latency(DRAFTS, 20.0, share=0.9) == ALL
    assert threshold_for_latency(DRAFTS, 0.01, share=0.9) == NONE


def test_a_higher_floor_is_never_cheaper_or_sooner() -> None:
    found = [realised(DRAFTS, floor / 20) for floor in range(21)]
    assert [one.cost for one in found] == sorted(one.cost for one in found)
    assert [one.seconds for one in found] == sorted(one.seconds for one in found)
