from typing import Literal

import pytest

from headrace.contracts.policy import LowConfidence, Probe
from headrace.router.cascade.verdict import Bench
from tests.support.cascade import BAD, GOOD, ScriptedJudge
from tests.support.routing import call


def bench(
    judge: ScriptedJudge | None = None, on_uncertain: Literal["escalate", "commit"] = "escalate", **asked: object
) -> Bench:
    low = LowConfidence(Probe(tokens=3, s=1.5, on_uncertain=on_uncertain), 0.05, ("large",))
    return Bench(judge or ScriptedJudge(), low, call(**asked), "m", "chat")


def test_a_running_answer_is_undecided_until_the_probe_is_full_or_the_judge_is_sure() -> None:
    assert bench().running([GOOD, GOOD]) is None
    full = bench().running([GOOD, GOOD, GOOD])
    assert full is not None
    assert (full.keep, full.reason, full.confidence) == (True, "confident", 0.9)
    sure = bench(ScriptedJudge(final_after=1)).running([BAD])
    assert sure is not None
    assert (sure.keep, sure.reason, sure.why) == (False, None, "scripted")


def test_tokens_past_the_probe_are_not_shown_to_the_judge() -> None:
    judge = ScriptedJudge()
    verdict = bench(judge).running([GOOD, GOOD, GOOD, BAD])
    assert verdict is not None
    assert verdict.keep
    assert judge.seen == [("prefix m", (GOOD,) * 3, False)]


@pytest.mark.parametrize(
    ("evidence", "on_uncertain", "keep", "reason"),
    [
        ([GOOD], "escalate", True, "time_bound"),
        ([BAD], "escalate", False, None),
        ([BAD], "commit", True, "uncertain"),
        ([], "escalate", False, None),
        ([], "commit", True, "uncertain"),
    ],
)
def test_the_time_bound_asks_the_judge_first_and_then_the_policy(
    evidence: list[float], on_uncertain: Literal["escalate", "commit"], keep: bool, reason: str | None
) -> None:
    verdict = bench(on_uncertain=on_uncertain).at_time_bound(evidence)
    assert (verdict.keep, verdict.reason) == (keep, reason)


def test_a_broken_form_needs_no_judge() -> None:
    judge = ScriptedJudge()
    verdict = bench(judge, response_format={"type": "json_object"}).whole([GOOD], {"content": "Sure!"}, "stop")
    assert (verdict.keep, verdict.why, judge.seen) == (False, "the answer is not JSON", [])


def test_json_answers_and_tool_calls_have_their_own_calibration() -> None:
    judge = ScriptedJudge()
    bench(judge, response_format={"type": "json_object"}).whole([GOOD], {"content": "{}"}, "stop")
    bench(judge).whole([GOOD], {"content": "text"}, "stop")
    assert [is_json for _, _, is_json in judge.seen] == [True, False]
