import csv
from pathlib import Path

import msgspec
import pytest

from benchmarks import signals
from benchmarks.answer_side.recipes import cases
from benchmarks.signals import HEAD, POOLED, WITHIN, recipe_rows, repeat_rows, retrieved_rows, signal_rows, write
from headrace.router.training.table import Entry, Extra
from tests.benchmarks.answer_side.test_recipes import entry


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Two domains, each with a sign that tells, of opposite levels."""
    monkeypatch.setattr(signals, "RESAMPLES", 20)
    facts = [entry(n, "fact", correct=n % 4 != 0, logprob=-60 if n % 4 else -90) for n in range(60)]
    return [*facts, *(entry(n, "gsm8k_few", correct=n % 4 == 0, logprob=-10 if n % 4 == 0 else -40) for n in range(60))]


def test_the_pooled_figure_differs_from_the_one_within_domains(table: list[Entry]) -> None:
    named = {"mean": lambda answer: sum(answer.logprobs)}
    rows = list(signal_rows("m", cases(table, "m"), named))  # type: ignore[arg-type]
    found = {(row[2], row[6]): float(row[7]) for row in rows}
    assert found[WITHIN, "auroc"] == 1.0
    assert found[POOLED, "auroc"] < 0.7


def test_a_domain_without_enough_of_both_is_left_out(table: list[Entry]) -> None:
    rows = list(signal_rows("m", cases(table[:12], "m"), {"mean": lambda _: 1.0}))
    assert rows == []


def test_every_recipe_is_measured_on_both_splits(table: list[Entry], tmp_path: Path) -> None:
    known = cases(table, "m")
    rows = list(recipe_rows("m", known, known))
    assert {row[0] for row in rows} == {"calibration", "test"}
    assert {row[6] for row in rows} == {"auroc", "aurc", "brier", "ece", "brier minus shipped"}
    path = tmp_path / "signals.csv"
    write(path, rows)
    with path.open() as source:
        assert next(iter(csv.reader(source)))[-len(HEAD) :] == list(HEAD)


def test_a_repeated_answer_is_compared_with_the_first(table: list[Entry]) -> None:
    def again(one: Entry, *, correct: bool) -> Entry:
        answer = msgspec.structs.replace(one.answers["m"], again=Extra(correct=correct, tokens=1, agreement=50))
        return msgspec.structs.replace(one, answers={"m": answer})

    known = cases([again(table[1], correct=True), again(table[2], correct=False), table[3]], "m")
    found = {row[6]: float(row[7]) for row in repeat_rows("m", known)}
    assert found == {"agreement": 0.5, "right_then": 0.5, "grade_changed": 0.5}
    assert list(repeat_rows("m", cases(table, "m"))) == []


def test_support_is_held_against_the_answers_to_the_questions_that_have_it(table: list[Entry]) -> None:
    known = cases(table, "m")
    supports = {case.entry.question_id: 0.9 if case.answer.correct else 0.2 for case in known[:60]}
    found = {(row[2], row[6]): row for row in retrieved_rows("m", known, supports)}
    assert float(found[POOLED, "auroc"][7]) == 1.0
    assert found[POOLED, "auroc"][4] == "60"
