from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.cascade.question_side import predict_apart
from benchmarks.cascade_replay import PLAIN, SOURCES, Source, setups, tabulate
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.design import Design
from headrace.router.training.metrics import Interval
from tests.support.recorded import SIZE, hardness, setup_of

EASY = hardness() < 0.8
ROUTED = "route first, then cascade"


@pytest.fixture(scope="module")
def table() -> Mapping[tuple[str, str], Interval]:
    setup = setup_of(EASY, EASY)
    lines = tabulate(setup, Bootstrap.of(setup.record.group, resamples=100), "sums", is_drawn=True)
    return {line.place[2:]: line.interval for line in lines}


def test_cost_is_told_in_shares_of_strong(table: Mapping[tuple[str, str], Interval]) -> None:
    assert table["always strong", "cost_percent_of_strong"].value == pytest.approx(100.0)
    assert table["always weak", "cost_percent_of_strong"].value == pytest.approx(2.0)
    assert table[PLAIN, "cost_percent_of_strong"].value == pytest.approx(23.0)
    assert table["oracle", "cost_percent_of_strong"].value == pytest.approx(0.8 + 20.0)


def test_a_cascade_is_told_against_every_control(table: Mapping[tuple[str, str], Interval]) -> None:
    row = f"{ROUTED}, within the margin"
    assert table[row, "minus_strong_points"].value == pytest.approx(0.0)
    for rival in ("random", "hull", "length_router", "best_constant_of_its_cost"):
        assert table[row, f"minus_{rival}_points"].value > 0
    assert table[row, "minus_hull_with_cascade_points"].value >= 0
    assert table[row, "right_when_kept_percent"].value == pytest.approx(100.0)
    assert table[row, "draws_below_random_percent"].value == 0.0
    assert table[row, "folds_below_random"].value == 0.0


def test_the_frontier_runs_from_weak_to_strong(table: Mapping[tuple[str, str], Interval]) -> None:
    assert table["length router, at 0%", "right_percent"].value == pytest.approx(80.0)
    assert table["length router, at 100%", "right_percent"].value == pytest.approx(100.0)
    assert (f"{ROUTED}, price 0.1", "right_percent") not in table
    assert (f"{ROUTED}, price 0.12", "right_percent") in table


def test_a_budget_that_cannot_be_kept_has_no_row() -> None:
    never = np.zeros(SIZE, dtype=np.bool_)
    setup = setup_of(never, never)
    lines = list(tabulate(setup, Bootstrap.of(setup.record.group, resamples=20), "sums", is_drawn=False))
    rows = {line.place[2:]: line.interval.value for line in lines}
    assert rows[f"{ROUTED}, within 40% of strong's cost", "folds_without_drafts"] == 5.0
    assert (f"{ROUTED}, within 40% of strong's cost", "right_percent") not in rows


def test_every_trio_grows_from_peer_to_strong_and_none_is_both_built_on_and_confirming() -> None:
    for source in SOURCES:
        assert len({*source.trios, *source.confirming}) == len(source.trios) + len(source.confirming) == 7


def test_a_setup_holds_the_predictions_of_its_own_models() -> None:
    record = setup_of(EASY, ~EASY).record
    source = Source("sums", str, (("weak", "peer", "strong"),), (("peer", "weak", "strong"),))
    first, second = setups(source, record)
    right = np.stack([record.models[model].right for model in ("peer", "strong", "weak")], axis=1)
    expected = predict_apart(Design.of(record.texts), right, record.fold).out_of_fold
    assert np.array_equal(first.apart.out_of_fold[:, 0], expected[:, 2])
    assert np.array_equal(second.apart.out_of_fold[:, 0], expected[:, 0])
