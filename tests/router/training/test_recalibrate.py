import pytest

from headrace.router.training.feedback import Cell, Heard, about_difficulty, join
from headrace.router.training.recalibrate import LEAST_ANSWERS, Recalibration, recalibrate
from tests.support.heard import ARTEFACT, SMALL, World

CHAT = Cell(SMALL, "chat")


def learnt(world: World, seed: int = 1) -> Recalibration:
    return recalibrate(join(world.log(seed), "difficulty", {ARTEFACT: {}}, about_difficulty(SMALL)).heard)


def test_a_tier_that_is_worse_than_predicted_in_one_domain_is_corrected_there() -> None:
    found = learnt(World({"code": 1.5}, share=1.0))
    assert found.is_better
    assert found.loss_after < found.loss_before
    assert found.offsets[Cell(SMALL, "code")] == pytest.approx(1.5, abs=0.4)
    assert abs(found.offsets[Cell(SMALL, "chat")]) < 0.35
    assert abs(found.offsets[Cell(SMALL, "maths")]) < 0.35


def test_a_tier_that_is_better_than_predicted_everywhere_is_corrected() -> None:
    found = learnt(World(dict.fromkeys(("chat", "code", "maths"), -1.0)))
    assert found.is_better
    assert all(offset == pytest.approx(-1.0, abs=0.4) for offset in found.offsets.values())


def test_noise_changes_nothing() -> None:
    found = [learnt(World(requests=1500), seed) for seed in range(12)]
    assert sum(one.is_better for one in found) <= 1
    assert all(one.offsets == {} for one in found if not one.is_better)


def test_the_weights_undo_what_the_policy_preferred() -> None:
    """The small tier is off on hard questions alone, which it seldom gets: unweighted they would hardly count."""
    easy = [Heard(f"e{number}", CHAT, 0.2, float(number % 5 == 0), 1.0) for number in range(300)]
    hard = [Heard(f"h{number}", CHAT, 0.2, float(number % 5 < 4), 9.0) for number in range(100)]
    weighted, even = recalibrate([*easy, *hard]), recalibrate([*easy, *(Heard(*h[:4], 1.0) for h in map(plain, hard))])
    assert weighted.offsets[CHAT] > even.offsets[CHAT] > 0


def plain(one: Heard) -> tuple[str, Cell, float, float]:
    return (one.decision, one.cell, one.predicted, one.score)


def test_too_few_answers_teach_nothing() -> None:
    few = [Heard(f"d{number}", CHAT, 0.1, 1.0, 1.0) for number in range(LEAST_ANSWERS - 1)]
    found = recalibrate(few)
    assert (found.change, found.offsets, found.is_better) == (None, {}, False)
    assert recalibrate([*few, few[0]]).is_better


def test_certain_predictions_are_no_fault() -> None:
    found = recalibrate([Heard(f"d{number}", CHAT, float(number % 2), 1.0, 1.0) for number in range(200)])
    assert found.change is not None
