import numpy as np

from benchmarks.cascade.chosen import BUDGET, PRICES, lift, run
from benchmarks.cascade.staged import always
from headrace.router.training.bootstrap import Bootstrap
from tests.support.recorded import SIZE, hardness, setup_of

EASY = hardness() < 0.8
RANDOM = np.random.default_rng(1)


def test_a_cascade_that_pays_is_on_in_every_fold() -> None:
    found = run(setup_of(EASY, EASY), "route first")
    assert set(found.outcomes) == set(PRICES)
    outcome, prices = found.chosen("margin", guarded=True)
    assert None not in prices
    assert outcome.right.mean() == 1.0
    within, _ = found.chosen("budget", guarded=True)
    assert within.cost.mean() <= BUDGET * 100


def test_a_cascade_that_gains_nothing_goes_to_strong_and_is_as_good_as_the_coin() -> None:
    blind = RANDOM.random(SIZE) < 0.5
    setup = setup_of(blind, RANDOM.random(SIZE) < 0.02, strong_cost=4.0)
    found = run(setup, "cascade")
    outcome, prices = found.chosen("coin", guarded=True)
    assert prices == (None,) * 5
    assert np.array_equal(outcome.cost, setup.record.models["strong"].cost)
    trio = setup.trio(setup.apart.out_of_fold)
    assert np.abs(lift(outcome, trio, Bootstrap.of(setup.record.group, resamples=50))).max() < 1e-9


def test_a_budget_that_no_price_keeps_is_no_price() -> None:
    never = np.zeros(SIZE, dtype=np.bool_)
    found = run(setup_of(never, never), "cascade")
    assert found.chosen("budget", guarded=False)[1] == (None,) * 5


def test_the_lift_is_told_against_the_coin_of_equal_cost() -> None:
    setup = setup_of(EASY, EASY)
    trio = setup.trio(setup.apart.out_of_fold)
    draws = Bootstrap.of(setup.record.group, resamples=20)
    for one in (trio.weak, trio.strong):
        assert np.abs(lift(always(one), trio, draws)).max() < 1e-9
