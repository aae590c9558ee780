import json
from typing import Any

import pytest

from headrace.contracts.errors import ConfigError
from headrace.gateway.ledger.record import Outcome, Request, build, encode
from headrace.router.replay.log import Line, read_ledger, read_scores
from tests.support import records


def lines(*texts: bytes, file: str = "ledger.jsonl") -> list[Line]:
    return [Line(file, number, text) for number, text in enumerate(texts, 1)]


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(encode(records.record())), **fields}).encode()


def test_the_ledgers_own_lines_are_read() -> None:
    (entry,) = read_ledger(lines(encode(records.record()))).entries
    assert [step.tier for step in entry.plan.targets] == ["small", "large"]
    assert entry.plan.propensity == 1.0
    assert entry.answered_by == "large-model"
    assert entry.features.metadata == {"team": "a"}


def test_nobody_answers_a_request_that_failed() -> None:
    failed = json.loads(encode(records.record()))
    failed["attempts"] = failed["attempts"][:1]
    (entry,) = read_ledger(lines(json.dumps(failed).encode())).entries
    assert entry.answered_by is None


def test_a_torn_line_is_counted_and_the_rest_is_read() -> None:
    whole = encode(records.record())
    log = read_ledger(lines(whole, whole[: len(whole) // 2]))
    assert (len(log.entries), log.torn, log.faulty) == (1, 1, 0)


def test_json_that_lacks_fields_is_counted_and_the_first_is_named() -> None:
    log = read_ledger(lines(encode(records.record()), b'{"v":1,"decision":"dec_1"}\n', b"[]\n"))
    assert (len(log.entries), log.faulty) == (1, 2)
    assert log.first_faulty.startswith("ledger.jsonl:2: ")
    assert "missing required field" in log.first_faulty


@pytest.mark.parametrize("propensity", [0, -0.1, 1.5, "half"])
def test_an_impossible_propensity_is_a_fault(propensity: object) -> None:
    plan = {**json.loads(encode(records.record()))["plan"], "propensity": propensity}
    assert read_ledger(lines(changed(plan=plan))).faulty == 1


def test_another_version_is_a_fault() -> None:
    assert "v" in read_ledger(lines(changed(v=2))).first_faulty


def test_a_request_refused_before_planning_is_counted_out() -> None:
    request: Request = records.REQUEST
    refused = build(request, None, (), Outcome(400, "invalid_request_error", 0, 0, 0.001))
    log = read_ledger(lines(encode(refused)))
    assert (log.unplanned, log.faulty, log.entries) == (1, 0, ())


def test_feedback_is_kept_by_its_decision_and_the_last_word_counts() -> None:
    said = (
        b'{"v":1,"feedback":"dec_1","time":"t","key":"k","tenant":"t","score":%s}\n' % score for score in (b"0", b"1")
    )
    log = read_ledger(lines(*said))
    assert (dict(log.feedback), log.faulty) == ({"dec_1": 1.0}, 0)


def test_shadows_and_kinds_that_came_later_are_counted_aside() -> None:
    log = read_ledger(lines(b'{"v":1,"shadow":"dec_1","outcome":"ok"}\n', b'{"v":7,"something":"new"}\n'))
    assert (log.asides, log.faulty, log.unplanned) == (2, 0, 0)


def test_an_embedding_has_no_plan() -> None:
    embedded = build(records.REQUEST, None, (records.ANSWER,), Outcome(200, "ok", 3, 0, 0.001))
    assert read_ledger(lines(encode(embedded))).unplanned == 1


def test_the_last_score_of_a_decision_wins_and_empty_lines_are_passed_over() -> None:
    texts = (b'{"decision":"a","score":0}\n', b"\n", b'{"decision":"a","score":1,"comment":"good"}\n')
    assert read_scores(lines(*texts)) == {"a": 1.0}


@pytest.mark.parametrize("text", [b'{"decision":"a"}', b'{"decision":"a","score":2}', b'{"decision"', b"\xff"])
def test_a_bad_score_names_its_line(text: bytes) -> None:
    with pytest.raises(ConfigError, match=r"scores\.jsonl:2: .*write one"):
        read_scores(lines(b'{"decision":"a","score":1}', text, file="scores.jsonl"))
