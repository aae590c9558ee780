import numpy as np

from headrace.router.training.bootstrap import Bootstrap, lower_bound, measured, share_below_zero


def test_groups_are_drawn_whole_and_the_first_row_is_the_set_itself() -> None:
    weights = Bootstrap.of(np.array([0, 0, 1, 2]), resamples=500).weights
    assert weights[0].tolist() == [0.25] * 4
    assert np.allclose(weights.sum(axis=1), 1.0)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[1:, 2] == 0).any()


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.tile([0.0, 1.0], 200)
    found = measured(Bootstrap.of(np.arange(400)).means(values))
    assert abs(found.value - 0.5) < 1e-9
    assert abs(found.high - found.low - 2 * 1.96 * 0.5 / 20) < 0.01


def test_bounds_and_shares_are_counted_over_the_draws_alone() -> None:
    means = np.array([9.0, -1.0, -1e-15, 1.0, 2.0])
    assert share_below_zero(means) == 0.25
    assert lower_bound(means, 0.0) == -1.0
