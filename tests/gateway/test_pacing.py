import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.policy import BudgetPacing, Policy, Rule
from headrace.contracts.routing import Pace, Plan
from headrace.gateway.pacing import RESERVE, Bank, Banks
from headrace.router.policies.planner import make_plan
from tests.support.routing import auto, call, features, policy

DAY = BudgetPacing("large", "small", 5_000_000, 86_400.0)
PER_1K = BudgetPacing("large", "small", 2_000_000)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def with_budget(strategy: BudgetPacing) -> Policy:
    return policy(auto(select=(Rule("only", None, strategy),), on_low_confidence=None))


def planned(rules: Policy, banks: Banks, difficulty: float = 0.5) -> Plan:
    return make_plan(
        rules,
        call(),
        features(difficulty=difficulty),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
        pace=banks.pace,
    )


def test_a_bank_begins_full() -> None:
    assert Bank(DAY, Clock()).pace() == Pace(0, 250_000, 1.0)


def test_what_is_taken_flows_back_over_the_window() -> None:
    clock = Clock()
    bank = Bank(DAY, clock)
    bank.take(250_000)
    assert bank.pace().spare == 0.0
    clock.now += 86_400 * 0.05 / 0.95 / 2
    assert bank.pace().spare == pytest.approx(0.5)
    clock.now += 86_400
    assert bank.pace() == Pace(250_000, 500_000, 1.0)


def test_a_clock_that_goes_back_adds_nothing_and_goes_on_from_there() -> None:
    clock = Clock()
    bank = Bank(DAY, clock)
    bank.take(250_000)
    clock.now -= 500
    assert bank.pace().spare == 0.0
    clock.now += 100
    assert bank.pace().spent_microusd == 250_000
    assert bank.pace().allowed_microusd == int(250_000 + 100 * 5_000_000 * 0.95 / 86_400)


def test_requests_fill_a_bank_of_so_much_a_thousand() -> None:
    clock = Clock()
    bank = Bank(PER_1K, clock)
    bank.take(100_000)
    clock.now += 1e9
    assert bank.pace().spare == 0.0
    for _ in range(10):
        bank.take(0)
    assert bank.pace().allowed_microusd == 100_000 + 10 * 1_900


def test_what_was_expected_is_replaced_by_what_it_cost() -> None:
    bank = Bank(DAY, Clock())
    bank.take(100)
    bank.correct(-60)
    assert bank.pace().spent_microusd == 40
    bank.correct(-1_000)
    assert bank.pace().spare == 1.0, "nothing is given back that was not taken"


def test_debt_is_bounded_by_one_budget() -> None:
    bank = Bank(DAY, Clock())
    bank.correct(10**12)
    assert bank.pace().spare == pytest.approx(-1 / RESERVE)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 400)), min_size=1, max_size=200),
    window=st.sampled_from([10.0, 100.0]),
)
def test_no_window_spends_more_than_its_budget(steps: list[tuple[float, int]], window: float) -> None:
    clock = Clock()
    bank = Bank(BudgetPacing("large", "small", 10_000, window), clock)
    spent: list[tuple[float, int]] = []
    for wait_s, cost in steps:
        clock.now += wait_s
        if bank.pace().spare > 0:
            bank.take(cost)
            spent.append((clock.now, cost))
    for start, _ in spent:
        inside = sum(cost for at, cost in spent if start <= at <= start + window)
        assert inside <= 10_000 + 400 + 1e-6, "by at most the last request, which began with money left"


@pytest.mark.parametrize("usd", [3, 6, 12])
def test_spending_comes_close_to_the_budget_and_not_over_it(usd: int) -> None:
    clock, numbers = Clock(), random.Random(usd)  # noqa: S311  (a simulation)
    rules = with_budget(BudgetPacing("large", "small", usd * 1_000_000, 86_400.0))
    banks = Banks(rules, clock)
    spent, on_large = 0, []
    for _ in range(4_000):
        clock.now += numbers.expovariate(4_000 / 86_400)
        difficulty = numbers.random()
        plan = planned(rules, banks, difficulty)
        banks.take(plan)
        cost = round(plan.expected_cost_microusd * numbers.uniform(0.2, 1.8))
        banks.settle(plan, cost)
        spent += cost
        if plan.targets[0].tier == "large":
            on_large.append(difficulty)
    assert 0.88 * usd <= spent / 1_000_000 <= usd * 1.05
    assert sum(on_large) / len(on_large) > 0.6, "the harder questions get the money"


def test_a_rule_without_a_budget_has_no_bank() -> None:
    banks = Banks(policy(), Clock())
    assert banks.pace("headrace/auto", "hard") is None
    plan = make_plan(
        policy(),
        call(),
        features(),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
        pace=banks.pace,
    )
    banks.take(plan)
    banks.settle(plan, 10)


def test_a_reload_keeps_the_banks_it_leaves_as_they_are() -> None:
    clock = Clock()
    banks = Banks(with_budget(DAY), clock)
    plan = planned(with_budget(DAY), banks)
    banks.take(plan)
    before = banks.pace("headrace/auto", "only")
    banks.reshape(with_budget(DAY))
    assert banks.pace("headrace/auto", "only") == before
    banks.reshape(with_budget(PER_1K))
    assert banks.pace("headrace/auto", "only") == Pace(0, 100_000, 1.0)
    banks.reshape(policy())
    banks.settle(plan, 5)
    assert banks.pace("headrace/auto", "only") is None
