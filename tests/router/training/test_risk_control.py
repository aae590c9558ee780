from collections.abc import Sequence

import pytest

from headrace.router.training.calibrate import calibrate, fit
from headrace.router.training.risk_control import cross_fitted, judged_as, risk_curves, score
from headrace.router.training.table import Answer, Entry


def entry(number: int, *, correct: bool, logprob: int, kind: str = "fact", **fields: object) -> Entry:
    values = {"correct": correct, "finish_reason": "stop", "prompt_tokens": 5, "tokens": 40, "seconds": 1.0}
    answer = Answer(**{**values, "evidence": [logprob] * 40, "early_ms": [], **fields})  # type: ignore[arg-type]
    return Entry(f"{kind}{number}", kind, "?", fields.get("is_valid") is not None, "here", "CC0-1.0", {"m": answer})


@pytest.fixture
def table() -> list[Entry]:
    """Sure answers are mostly right, unsure ones mostly wrong."""
    return [
        entry(n, correct=(n % 10 != 0) if n % 2 else (n % 10 == 0), logprob=-10 - n % 7 if n % 2 else -150 - n % 7)
        for n in range(200)
    ]


def test_every_answer_is_scored_once_by_curves_that_did_not_see_it(table: list[Entry]) -> None:
    seen: list[set[str]] = []

    def spied(entries: Sequence[Entry]) -> dict[str, dict[str, object]]:
        seen.append({one.question_id for one in entries})
        return fit(entries)

    scored = cross_fitted(table, spied)  # type: ignore[arg-type]
    assert sorted(one.question_id for one in scored) == sorted(one.question_id for one in table)
    for number, known in enumerate(seen):
        assert known, number
    assert set.intersection(*seen) == set()


def test_a_sure_answer_scores_above_an_unsure_one(table: list[Entry]) -> None:
    sure, unsure = score([table[1], table[0]], fit(table))
    assert sure.whole > unsure.whole
    assert sure.running > unsure.running


def test_broken_json_and_an_answer_without_evidence_score_nothing(table: list[Entry]) -> None:
    formed = [entry(n, correct=n % 2 == 0, logprob=-20 - n, is_valid=n != 1) for n in range(40)]
    fitted = fit([*table, *formed])
    broken, empty = score([formed[1], entry(900, correct=False, logprob=-1, evidence=[])], fitted)
    assert (broken.domain, broken.whole) == ("json", 0.0)
    assert empty.whole == 0.0
    assert judged_as(formed[0]) == "json"


def test_a_domain_nobody_fitted_is_left_out(table: list[Entry]) -> None:
    assert score([entry(1, correct=True, logprob=-1, kind="language")], fit(table)) == []


def test_a_calibration_file_holds_the_scores_of_wrong_answers_only(table: list[Entry]) -> None:
    risk = calibrate(table)["models"]["m"]["risk"]
    wrong = sum(not one.answers["m"].correct for one in table)
    for mode in ("running", "whole"):
        curve = risk[mode]["knowledge"]
        assert (curve["answers"], len(curve["wrong"])) == (200, wrong)
        assert curve["wrong"] == sorted(curve["wrong"], reverse=True)


def test_rounding_never_lowers_a_floor(table: list[Entry]) -> None:
    scored = cross_fitted(table, fit)
    curve = risk_curves(scored)["m"]["whole"]["knowledge"]
    exact = sorted((one.whole for one in scored if not one.right), reverse=True)
    assert all(rounded >= value for rounded, value in zip(curve["wrong"], exact, strict=True))
