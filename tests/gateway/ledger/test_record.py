import json
import timeit

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from headrace.contracts.routing import Pace, Panel
from headrace.gateway.ledger.record import Outcome, RetrievalRecord, build, decode, encode
from tests.support.records import ANSWER, DRAFT, OUTCOME, PLAN, REQUEST, record


def test_a_record_holds_who_what_and_every_attempt() -> None:
    found = json.loads(encode(record()))
    assert found["v"] == 1
    assert (found["key"], found["tenant"], found["revision"]) == ("alice", "research", "r1")
    assert found["artefacts"] == {"difficulty": "d1", "calibration": "c1"}
    assert found["plan"]["propensity"] == 1.0
    assert [target["tier"] for target in found["plan"]["targets"]] == ["small", "large"]
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["rejected", "committed"]
    assert found["time"] == "2026-09-21T14:13:20.000+00:00"


def test_a_record_holds_what_a_strategy_compared_and_nothing_where_none_did() -> None:
    drawn = replace(
        PLAN, propensity=0.05, scores={"small": 0.95, "large": 0.05}, chances={"small": 0.95, "large": 0.05}
    )
    found = json.loads(encode(build(REQUEST, drawn, (ANSWER,), OUTCOME)))["plan"]
    assert (found["propensity"], found["scores"]) == (0.05, {"small": 0.95, "large": 0.05})
    assert found["chances"] == {"small": 0.95, "large": 0.05}
    assert not {"scores", "chances"} & json.loads(encode(record()))["plan"].keys()


def test_a_record_holds_the_panel_the_shadow_and_the_budget_where_there_are_any() -> None:
    first, second = PLAN.targets
    plan = replace(
        PLAN,
        features=replace(PLAN.features, quality={"s": 0.123456789}),
        panel=Panel((first, second), "vote", 30.0),
        shadow=second,
        pace=Pace(1, 2, 0.5, 0.25),
    )
    told = json.loads(encode(build(REQUEST, plan, (DRAFT, ANSWER), OUTCOME)))
    assert [member["tier"] for member in told["plan"]["experts"]] == ["small", "large"]
    assert (told["plan"]["fuse"], told["plan"]["shadow"]["tier"]) == ("vote", "large")
    assert told["plan"]["pace"] == {
        "spent_microusd": 1,
        "allowed_microusd": 2,
        "spare": 0.5,
        "quality_per_milliusd": 0.25,
    }
    assert told["features"]["quality"] == {"s": 0.12346}
    bare = json.loads(encode(record()))["plan"]
    assert not {"experts", "fuse", "shadow", "pace"} & bare.keys()


def test_answers_of_experts_that_nobody_saw_are_wasted() -> None:
    outvoted = replace(DRAFT, outcome="outvoted", completion_tokens=5)
    consulted = replace(DRAFT, outcome="consulted", completion_tokens=2)
    assert build(REQUEST, PLAN, (outvoted, consulted, ANSWER), OUTCOME).wasted_tokens == 7


def test_cost_is_the_sum_over_attempts_and_drafts_are_wasted() -> None:
    found = record()
    assert found.cost_microusd == 215
    assert found.wasted_tokens == 32
    assert found.always_large_microusd == 12 + 202


def test_only_allowed_names_are_kept() -> None:
    line = encode(record())
    features = json.loads(line)["features"]
    assert features["metadata"] == {"team": "a"}
    assert features["headers"] == {"x-team": "b"}
    assert b"cookie" not in line
    assert b"secret" not in line


def test_a_request_without_a_plan_is_a_record_too() -> None:
    found = build(REQUEST, None, (), Outcome(404, "model_not_found", 0, 0, 0.001))
    assert (found.plan, found.features, found.answer, found.cost_microusd) == (None, None, None, 0)
    assert decode(encode(found)) is not None


def test_the_answer_is_the_attempt_the_client_saw() -> None:
    answer = record().answer
    assert answer is not None
    assert answer.tier == "large"
    assert record("dec_1", DRAFT).answer is None


def test_a_torn_or_foreign_line_is_no_record() -> None:
    line = encode(record())
    assert decode(line[:-20]) is None
    assert decode(b"") is None
    assert decode(b"[1]") is None
    assert decode(b'{"v": 1}') is None
    assert decode(b"\xff") is None


@given(st.binary(max_size=60))
def test_no_line_ever_raises(line: bytes) -> None:
    assert decode(line) is None or line


def test_a_record_costs_little() -> None:
    best = (
        min(timeit.repeat(lambda: encode(build(REQUEST, PLAN, (DRAFT, ANSWER), OUTCOME)), number=200, repeat=5)) / 200
    )
    assert best < 300e-6, f"{best * 1e6:.0f} us: about 20 are expected, 300 allow for a busy machine"


def test_a_record_holds_what_documents_came_to_and_nothing_where_none_were_asked_for() -> None:
    found = RetrievalRecord(("vs_1",), "always", searches=1, passages=2, support=0.7, unsupported="")
    plan = replace(PLAN, features=replace(PLAN.features, retrieval_support=0.7123456))
    asked = replace(ANSWER, outcome="searched")
    line = decode(encode(build(REQUEST, plan, (asked, ANSWER), OUTCOME, retrieval=found)))
    assert line is not None
    assert line["features"]["retrieval_support"] == 0.71235
    assert line["retrieval"] == {
        "collections": ["vs_1"], "when": "always", "searches": 1, "passages": 2, "support": 0.7,
    }  # fmt: skip
    assert line["wasted_tokens"] == ANSWER.completion_tokens
    plain = decode(encode(record()))
    assert plain is not None
    assert "retrieval" not in plain
    assert "retrieval_support" not in plain["features"]
