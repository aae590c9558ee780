import math

import pytest

from headrace.router.training.compact import compact, entropy, margin
from headrace.router.training.labelled import Question
from headrace.router.training.record import Row

QUESTION = Question("q1", "fact", "What is the capital of France?", "contains_word", {"answers": ["Paris"]})
TWIN = Question("q1#json", "fact", "What is the capital of France?", "contains_word", {}, as_json=True, split="test")


def row(question_id: str, tokens: list[str], **fields: object) -> Row:
    values = {
        "question_id": question_id,
        "kind": "fact",
        "model": "m",
        "form": "greedy",
        "as_json": False,
        "correct": True,
        "text": "".join(tokens),
        "finish_reason": "stop",
        "tokens": tokens,
        "logprobs": [-0.126] * len(tokens),
        "tops": [[-0.126, -2.126]] * len(tokens),
        "token_s": [0.25] * len(tokens),
        "prompt_tokens": 9,
        "completion_tokens": len(tokens),
        "cost_microusd": 1,
        "started_s": 0.0,
        "ttft_s": 0.25,
        "seconds": 1.5,
        **fields,
    }
    return Row(**values)  # type: ignore[arg-type]


def test_runs_are_joined_with_their_questions() -> None:
    entries = compact([QUESTION, TWIN], {"m": [row("q1", ["Pa", "ris"])], "n": [row("q1", ["no"], correct=False)]})
    assert len(entries) == 1
    answers = entries[0].answers
    assert (answers["m"].correct, answers["n"].correct) == (True, False)
    assert answers["m"].evidence == [-13, -13]
    assert answers["m"].logprobs == [-0.13, -0.13]
    assert (answers["m"].early_ms, answers["m"].tokens, answers["m"].prompt_tokens) == ([250, 250], 2, 9)
    assert answers["m"].agreement == {"n": 0}
    assert (entries[0].license, entries[0].split) == ("CC0-1.0", "calibration")


def test_the_other_forms_stand_beside_the_greedy_answer() -> None:
    rows = [
        row("q1", ["Paris"]),
        row("q1", ["Rome"], form="sample-1", correct=False),
        row("q1", ["Paris"], form="sample-2"),
        row("q1", ["Paris"], form="again"),
        row("q1", ["90"], form="confidence"),
    ]
    answer = compact([QUESTION], {"m": rows})[0].answers["m"]
    assert [(one.correct, one.agreement) for one in answer.samples] == [(False, 0), (True, 100)]
    assert answer.again is not None
    assert answer.again.agreement == 100
    assert (answer.stated, answer.stated_tokens) == (90, (9, 1))


def test_doubts_are_summed_up_at_every_horizon_and_over_the_whole() -> None:
    answer = compact([QUESTION], {"m": [row("q1", ["a"] * 20)]})[0].answers["m"]
    assert len(answer.doubts) == 3
    assert {one.least_margin for one in answer.doubts} == {200}
    assert compact([QUESTION], {"m": [row("q1", [])]})[0].answers["m"].doubts == []


def test_of_json_only_the_tokens_of_values_are_evidence() -> None:
    tokens = ['{"', "answer", '":"', "Paris", '"}']
    logprobs = [0.0, 0.0, 0.0, -0.0, -0.2]
    entry = compact([TWIN], {"m": [row("q1#json", tokens, as_json=True, logprobs=logprobs)]})[0]
    answer = entry.answers["m"]
    assert 0 < len(answer.evidence) < 5
    assert 0 in answer.evidence  # nearly certain is not the same as left no choice
    assert answer.is_valid
    assert entry.split == "test"


def test_json_of_another_form_is_not_valid() -> None:
    for text in ("[]", "{"):
        answer = compact([TWIN], {"m": [row("q1#json", [text], as_json=True)]})[0].answers["m"]
        assert answer.is_valid is False


def test_entropy_counts_the_rest_as_one_more_token() -> None:
    half = math.log(0.5)
    assert entropy([half, half]) == pytest.approx(math.log(2))
    assert entropy([half]) == pytest.approx(math.log(2))
    assert entropy([0.0]) == 0.0


def test_the_margin_is_between_the_two_likeliest() -> None:
    assert margin([-2.0, -0.5, -3.0]) == pytest.approx(1.5)
    assert margin([-0.1]) == margin([]) == margin([0.0, -90.0]) == 20.0
