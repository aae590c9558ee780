import numpy as np
import pytest

from benchmarks.answer_side.recipes import Case
from benchmarks.judge_curves import BINS, SHOWN, bins, risk_at, tabulate
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.table import Answer, Entry

CHANCE = np.array([0.9, 0.8, 0.7, 0.1])
RIGHT = np.array([1.0, 1.0, 0.0, 0.0])
DRAWS = Bootstrap.of(np.arange(4), resamples=50)


def test_risk_is_counted_among_the_answers_that_are_kept() -> None:
    assert [risk_at(CHANCE, RIGHT, share, DRAWS)[0] for share in (0.5, 0.75, 1.0)] == pytest.approx([0, 1 / 3, 0.5])


def test_answers_of_equal_chance_are_kept_in_proportion() -> None:
    same = np.full(4, 0.5)
    assert risk_at(same, RIGHT, 0.1, DRAWS)[0] == pytest.approx(0.5)
    assert risk_at(same, RIGHT[::-1], 0.1, DRAWS)[0] == pytest.approx(0.5)


def test_bins_hold_as_many_answers_lowest_chance_first() -> None:
    found = bins(np.arange(4 * BINS, dtype=np.float64)[::-1].copy())
    assert [int(one.sum()) for one in found] == [4] * BINS
    assert found[0][-4:].tolist() == [1.0] * 4


def case(number: int) -> Case:
    good = number % 3 > 0
    answer = Answer(
        correct=good,
        finish_reason="stop",
        prompt_tokens=5,
        tokens=10,
        seconds=1.0,
        evidence=[-5 if good else -150] * 10,
        early_ms=[],
    )
    entry = Entry(f"q{number}", "fact", "?", as_json=False, origin="", license="", answers={"small": answer})
    return Case(entry, "small")


def test_a_judge_that_can_tell_keeps_its_risk_low() -> None:
    lines = list(tabulate("small", [case(row) for row in range(90)], [case(row) for row in range(90, 150)], 50))
    rows = {line.place[2:]: line.interval.value for line in lines}
    shipped, trivial, _ = SHOWN
    assert rows[shipped, "risk_percent_of_best_50%"] == pytest.approx(0.0)
    assert rows[trivial, "risk_percent_of_best_50%"] == pytest.approx(100 / 3)
    assert rows[shipped, "right_percent_bin_1"] == pytest.approx(0.0)
    assert rows[shipped, f"right_percent_bin_{BINS}"] == pytest.approx(100.0)
    assert rows[shipped, f"promised_percent_bin_{BINS}"] > 80
