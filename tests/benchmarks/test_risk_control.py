import pytest

from benchmarks import risk_control
from benchmarks.risk_control import (
    CONFORMAL,
    floors,
    honesty_rows,
    kept,
    often_rows,
    once_rows,
)
from headrace.router.training.risk_control import Scored
from headrace.router.training.table import Entry
from tests.benchmarks.answer_side.test_recipes import entry


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """A judge that mostly knows."""
    monkeypatch.setattr(risk_control, "RESAMPLES", 20)
    return [entry(n, "fact", correct=n % 3 != 0, logprob=-10 - n % 60 if n % 3 else -80 - n % 60) for n in range(120)]


def scored(score: float, *, right: bool, domain: str = "knowledge") -> Scored:
    return Scored(f"{score}{right}", "fact", "m", domain, right, running=score, whole=score)


def test_only_what_is_above_its_domains_floor_is_kept() -> None:
    tested = [
        scored(0.9, right=True),
        scored(0.8, right=False),
        scored(0.2, right=False),
        scored(0.9, right=True, domain="x"),
    ]
    found = kept(tested, "whole", {"knowledge": 0.5})
    assert (found.wrong_and_kept, found.kept, found.right_when_kept) == (0.25, 0.5, 0.5)
    assert kept(tested, "whole", {}).right_when_kept == 1.0


def test_a_floor_comes_from_the_wrong_answers() -> None:
    known = [scored(n / 100, right=n % 2 == 0) for n in range(100)]
    found = floors(known, "m", "whole", 0.1)["knowledge"]
    assert kept(known, "whole", {"knowledge": found}).wrong_and_kept <= 0.1


def test_the_mean_risk_of_exchangeable_draws_stays_at_the_target(table: list[Entry]) -> None:
    found = {(row[2], row[3], row[5]): float(row[8]) for row in often_rows(table, "m") if row[7] == "wrong_and_kept"}
    assert found["whole", "all", "0.05"] <= 0.06
    assert found["whole", "all", "0.2"] <= 0.21


def test_the_shipped_floors_are_tried_once_beside_the_plain_rule(table: list[Entry]) -> None:
    rows = list(once_rows(table[:80], table[80:], "m"))
    assert {row[4] for row in rows} == {CONFORMAL, risk_control.PER_ANSWER}
    assert {row[3] for row in rows} == {"all", "knowledge"}


def test_calibration_lowers_the_calibration_error(table: list[Entry]) -> None:
    before, after = (float(row[8]) for row in honesty_rows(table[:80], table[80:], "m"))
    assert after < before
