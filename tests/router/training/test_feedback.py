import json
from typing import Any

import pytest

from headrace.router.replay.log import Line, Log, read_ledger
from headrace.router.training.feedback import MOST_WEIGHT, Join, join
from tests.support.heard import ARTEFACT, SMALL, World, said

KNOWN: dict[str, dict[str, float]] = {ARTEFACT: {}}


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
    return join(log(json.dumps(record).encode(), said(record["decision"], score)), SMALL, KNOWN)


def test_an_answer_of_the_small_tier_tells_of_its_prediction() -> None:
    record = first_small()
    (heard,) = joined(record, 0.25).heard
    assert (heard.decision, heard.domain, heard.score) == (record["decision"], record["features"]["domain"], 0.25)
    assert heard.predicted == pytest.approx(1 - record["features"]["difficulty"])
    assert heard.weight == pytest.approx(1 / record["plan"]["propensity"])


def test_a_rare_choice_weighs_no_more_than_the_bound() -> None:
    record = first_small()
    record["plan"]["propensity"] = 0.001
    assert joined(record).heard[0].weight == MOST_WEIGHT


def test_feedback_without_a_decision_is_counted() -> None:
    assert join(log(said("dec_gone", 1.0)), SMALL, KNOWN).left_out == {"no decision of that id is in the ledger": 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"artefacts": {"difficulty": "b" * 64}}, "decided with another difficulty model"),
        ({"artefacts": {}}, "decided with another difficulty model"),
        ({"attempts": []}, "another model answered"),
        ({"features": {"unfamiliar": True}}, "the question was unlike training"),
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
    assert joined(record).left_out == {"the draft was judged before it was sent": 1}


def test_a_panels_answer_tells_nothing() -> None:
    record = first_small()
    record["attempts"].append({**record["attempts"][0], "model": "other", "outcome": "outvoted"})
    assert joined(record).left_out == {"asked side by side with others": 1}


def test_what_an_earlier_feedback_added_is_taken_out_again() -> None:
    record = first_small()
    domain, logged = record["features"]["domain"], record["features"]["difficulty"]
    plain = join(log(json.dumps(record).encode(), said(record["decision"], 1)), SMALL, {ARTEFACT: {domain: 0.7}})
    odds = logged / (1 - logged) / 2.718281828459045**0.7
    assert plain.heard[0].predicted == pytest.approx(1 - odds / (1 + odds))
