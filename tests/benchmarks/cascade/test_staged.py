import numpy as np
import pytest

from benchmarks.cascade.staged import agreement, always, decide, join
from tests.support.recorded import SIZE, hardness, setup_of

EASY = hardness() < 0.5
ROWS = np.arange(SIZE)
TRAIN, TEST = ROWS[ROWS % 20 < 10], ROWS[ROWS % 20 >= 10]


def test_every_draft_is_paid_kept_or_not() -> None:
    trio = setup_of(EASY, EASY).trio(np.zeros((SIZE, 1)))
    plain = agreement(trio)
    assert plain.right.mean() == 1.0
    assert plain.cost[EASY].tolist() == [3.0] * int(EASY.sum())
    assert plain.cost[~EASY].tolist() == [103.0] * int((~EASY).sum())
    skipped = agreement(trio, ~EASY)
    assert skipped.cost[~EASY].tolist() == [100.0] * int((~EASY).sum())
    assert skipped.skipped.sum() == (~EASY).sum()


def test_routing_first_skips_drafts_that_would_be_thrown_away() -> None:
    setup = setup_of(EASY, EASY)
    trio = setup.trio(setup.apart.out_of_fold)
    found = decide("route first", trio.rows(TRAIN), trio.rows(TEST), 0.1)
    assert found.right.mean() == 1.0
    assert found.skipped[hardness()[TEST] > 0.7].all()
    assert found.cost.mean() < agreement(trio.rows(TEST)).cost.mean()


def test_at_no_price_the_stages_never_keep_a_worse_answer() -> None:
    setup = setup_of(EASY, EASY)
    trio = setup.trio(setup.apart.out_of_fold)
    found = decide("stages", trio.rows(TRAIN), trio.rows(TEST), 0.0)
    assert found.right.mean() > 0.95
    dear = decide("stages", trio.rows(TRAIN), trio.rows(TEST), 10.0)
    assert dear.cost.mean() == 2.0
    assert dear.right.mean() == EASY[TEST].mean()


@pytest.mark.parametrize("recipe", ["cascade", "route first", "stages"])
def test_a_decision_never_reads_the_test_outcomes_of_strong(recipe: str) -> None:
    setup = setup_of(EASY, EASY)
    trio = setup.trio(setup.apart.out_of_fold)
    test = trio.rows(TEST)
    test.strong.right[:] = 0.0
    found = decide(recipe, trio.rows(TRAIN), test, 0.1)  # type: ignore[arg-type]
    fresh = decide(recipe, trio.rows(TRAIN), trio.rows(TEST), 0.1)  # type: ignore[arg-type]
    assert np.array_equal(found.kept, fresh.kept)
    assert np.array_equal(found.skipped, fresh.skipped)


def test_parts_are_put_back_in_order() -> None:
    trio = setup_of(EASY, EASY).trio(np.zeros((SIZE, 1)))
    whole = always(trio.weak, kept=True)
    again = join([(TEST, whole.rows(TEST)), (TRAIN, whole.rows(TRAIN))])
    assert np.array_equal(again.right, whole.right)
