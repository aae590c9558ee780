import math

import pytest

from headrace.retrieval.search.metrics import Scores, interval, judge


def test_the_figures_of_a_ranking_are_those_worked_out_by_hand() -> None:
    found = judge(["x", "a", "b"], {"a": 2, "b": 1, "c": 1, "d": 0})
    gained = 2 / math.log2(3) + 1 / math.log2(4)
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found == Scores(pytest.approx(gained / ideal), pytest.approx(2 / 3), 0.5)


def test_ranks_over_ten_count_for_recall_only() -> None:
    ranking = [f"x{rank}" for rank in range(10)] + ["a"]
    assert judge(ranking, {"a": 1}) == Scores(0.0, 1.0, 0.0)
    assert judge([f"x{rank}" for rank in range(100)] + ["a"], {"a": 1}) == Scores(0.0, 0.0, 0.0)


def test_the_ideal_is_cut_at_ten_and_grades_under_0_gain_nothing() -> None:
    grades = {f"d{rank}": 1 for rank in range(20)} | {"bad": -2}
    assert judge([f"d{rank}" for rank in range(10)], grades).ndcg == pytest.approx(1)
    assert judge(["bad"], grades) == Scores(0.0, 0.0, 0.0)


def test_an_interval_holds_its_mean_is_repeatable_and_narrows_with_more_questions() -> None:
    few, many = interval([0.0, 1.0] * 10), interval([0.0, 1.0] * 1_000)
    assert few == interval([0.0, 1.0] * 10)
    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 4
    assert interval([0.7]).low == pytest.approx(0.7)
