import json
import math
from typing import Any

import pytest

from headrace.router.replay.log import Line, Log, read_ledger
from headrace.router.training.feedback import MOST_WEIGHT, Cell, Join, Known, about_difficulty, about_quality, join
from tests.support.heard import ARTEFACT, SMALL, World, said

KNOWN: Known = {ARTEFACT: {}}
DIFFICULTY = about_difficulty(SMALL)


def first_small() -> dict[str, Any]:
    """Return the first record that the small tier answered, an explored one."""
    for text in World(requests=50, share=0.0).lines():
        record: dict[str, Any] = json.loads(text)
        if record["plan"]["targets"][0]["tier"] == "small":
            return record
    raise AssertionError


def log(*lines: bytes) -> Log:
    return read_ledger(Line("l.jsonl", number, text) for number, text in enumerate(lines, 1))


def joined(record: dict[str, Any], score: float = 1.0) -> Join:
    return join(log(json.dumps(record).encode(), said(record["decision"], score)), "difficulty", KNOWN, DIFFICULTY)


def test_an_answer_of_the_small_tier_tells_of_its_prediction() -> None:
    record = first_small()
    (heard,) = joined(record, 0.25).heard
    assert (heard.decision, heard.cell) == (record["decision"], Cell(SMALL, record["features"]["domain"]))
    assert (heard.predicted, heard.score) == (pytest.approx(record["features"]["difficulty"]), 0.75)
    assert heard.weight == pytest.approx(1 / record["plan"]["propensity"])


def test_a_rare_choice_weighs_no_more_than_the_bound() -> None:
    record = first_small()
    record["plan"]["propensity"] = 0.001
    assert joined(record).heard[0].weight == MOST_WEIGHT


def test_feedback_without_a_decision_is_counted() -> None:
    assert join(log(said("dec_gone", 1.0)), "difficulty", KNOWN, DIFFICULTY).left_out == {
        "of no decision in the ledger": 1
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"artefacts": {"difficulty": "b" * 64}}, "decided with another difficulty model, or none"),
        ({"artefacts": {}}, "decided with another difficulty model, or none"),
        ({"attempts": []}, "after a first answer that was rejected or failed"),
        ({"features": {"unfamiliar": True}}, "of a question unlike training"),
    ],
)
def test_what_tells_nothing_is_left_out_with_the_reason(change: dict[str, Any], why: str) -> None:
    record = first_small()
    for key, value in change.items():
        record[key] = {**record[key], **value} if key == "features" else value
    found = joined(record)
    assert (found.heard, found.left_out) == ((), {why: 1})


def test_a_judged_draft_tells_nothing() -> None:
    record = first_small()
    record["plan"]["targets"][0]["judged"] = True
    assert joined(record).left_out == {"of a draft that was judged before it was sent": 1}


def test_a_panels_answer_tells_nothing() -> None:
    record = first_small()
    record["attempts"].append({**record["attempts"][0], "model": "other", "outcome": "outvoted"})
    assert joined(record).left_out == {"of a panel": 1}


def test_what_an_earlier_feedback_added_is_taken_out_again() -> None:
    record = first_small()
    cell, logged = Cell(SMALL, record["features"]["domain"]), record["features"]["difficulty"]
    lines = log(json.dumps(record).encode(), said(record["decision"], 1))
    (heard,) = join(lines, "difficulty", {ARTEFACT: {cell: 0.7}}, DIFFICULTY).heard
    odds = logged / (1 - logged) / math.exp(0.7)
    assert heard.predicted == pytest.approx(odds / (1 + odds))


def test_any_models_answer_tells_of_its_predicted_quality() -> None:
    record = first_small()
    lines = log(json.dumps(record).encode(), said(record["decision"], 1))
    (heard,) = join(lines, "quality", KNOWN, about_quality).heard
    assert (heard.predicted, heard.score) == (record["features"]["quality"]["small-backend"], 1.0)
    del record["features"]["quality"]
    lines = log(json.dumps(record).encode(), said(record["decision"], 1))
    assert join(lines, "quality", KNOWN, about_quality).left_out == {"no quality was predicted": 1}
