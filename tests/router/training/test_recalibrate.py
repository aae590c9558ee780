import pytest

from headrace.router.training.feedback import Heard, join
from headrace.router.training.recalibrate import LEAST_ANSWERS, Recalibration, recalibrate
from tests.support.heard import ARTEFACT, SMALL, World


def learnt(world: World, seed: int = 1) -> Recalibration:
    return recalibrate(join(world.log(seed), SMALL, {ARTEFACT: {}}).heard)


def test_a_tier_that_is_worse_than_predicted_in_one_domain_is_corrected_there() -> None:
    found = learnt(World({"code": 1.5}, share=1.0))
    assert found.is_better
    assert found.loss_after < found.loss_before
    assert found.offsets["code"] == pytest.approx(1.5, abs=0.4)
    assert abs(found.offsets["chat"]) < 0.35
    assert abs(found.offsets["maths"]) < 0.35


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
    easy = [Heard(f"e{number}", "chat", 0.8, float(number % 5 > 0), 1.0) for number in range(300)]
    hard = [Heard(f"h{number}", "chat", 0.8, float(number % 5 > 3), 9.0) for number in range(100)]
    weighted, even = recalibrate([*easy, *hard]), recalibrate([*easy, *(Heard(*h[:4], 1.0) for h in map(plain, hard))])
    assert weighted.offsets["chat"] > even.offsets["chat"] > 0


def plain(one: Heard) -> tuple[str, str, float, float]:
    return (one.decision, one.domain, one.predicted, one.score)


def test_too_few_answers_teach_nothing() -> None:
    few = [Heard(f"d{number}", "chat", 0.9, 0.0, 1.0) for number in range(LEAST_ANSWERS - 1)]
    found = recalibrate(few)
    assert (found.change, found.offsets, found.is_better) == (None, {}, False)
    assert recalibrate([*few, few[0]]).is_better


def test_certain_predictions_are_no_fault() -> None:
    found = recalibrate([Heard(f"d{number}", "chat", float(number % 2), 1.0, 1.0) for number in range(200)])
    assert found.change is not None
