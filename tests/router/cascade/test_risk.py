import random

import pytest

from headrace.router.cascade.risk import EVEN, NEVER, RiskCurve

CURVE = RiskCurve(answers=99, wrong=tuple(value / 100 for value in range(95, 55, -1)))


def test_the_floor_leaves_as_many_wrong_answers_as_the_bound_allows() -> None:
    # (wrong kept + 1) / 100 <= 0.05, so four may be kept.
    floor = CURVE.floor(0.05)
    assert sum(score > floor for score in CURVE.wrong) == 4
    assert CURVE.realised(floor) == pytest.approx(4 / 99)


def test_a_smaller_risk_never_lowers_the_floor() -> None:
    floors = [CURVE.floor(risk / 100) for risk in range(1, 100)]
    assert floors == sorted(floors, reverse=True)


def test_too_few_answers_promise_nothing() -> None:
    assert RiskCurve(answers=10, wrong=()).floor(0.05) == NEVER
    assert RiskCurve(answers=19, wrong=()).floor(0.05) == EVEN
    assert RiskCurve(answers=0, wrong=()).realised(0.5) == 0.0


def test_all_may_be_kept_unseen_only_where_all_the_wrong_ones_may() -> None:
    curve = RiskCurve(answers=99, wrong=(0.9, 0.8, 0.7))
    assert [curve.keeps_all(risk) for risk in (0.01, 0.03, 0.04)] == [False, False, True]


def test_what_is_more_likely_wrong_than_right_is_kept_only_for_a_higher_risk() -> None:
    curve = RiskCurve(answers=100, wrong=(0.1, 0.05))
    assert curve.floor(0.2) == EVEN
    assert curve.floor(0.9) == pytest.approx(0.1)


def test_the_promise_holds_on_new_requests() -> None:
    generator = random.Random(3)  # noqa: S311  (a simulation, not a secret)

    def draw(count: int) -> list[tuple[float, bool]]:
        scores = [generator.random() for _ in range(count)]
        return [(score, generator.random() < score) for score in scores]

    losses = []
    for _ in range(400):
        seen = draw(60)
        wrong = sorted((score for score, right in seen if not right), reverse=True)
        floor = RiskCurve(60, tuple(wrong)).floor(0.1)
        losses.append(sum(score > floor and not right for score, right in draw(200)) / 200)
    assert sum(losses) / len(losses) <= 0.1
