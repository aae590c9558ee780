"""A panel from end to end: scripted experts, a scripted judge, virtual time."""

import asyncio
from typing import Any

import msgspec
import pytest

from headrace.contracts.errors import BackendUnavailable, DeadlineExceeded, Overloaded
from headrace.contracts.policy import FailureRule, Fuse, Limits
from headrace.contracts.routing import Panel, Plan
from headrace.models.backends.fake import Script
from tests.support.cascade import BAD, GOOD, OpenDoor, Rig, plan, text
from tests.support.routing import call
from tests.support.virtual_time import run_virtual

TIERS = ("a", "b", "c")
GONE = Script(error=BackendUnavailable("gone"))


def seated(fuse: Fuse = "vote", *, judge: str = "", deadline_s: float = 30.0, **fields: Any) -> Plan:
    """Return a plan with a panel of the tiers a, b and c; a judge sits on a tier of its own."""
    made = plan(*TIERS, *([judge] if judge else []), judged=[False] * (3 + bool(judge)), **fields)
    members = made.targets[:3]
    panel = Panel(members, fuse, deadline_s, made.targets[3] if judge else None)
    return msgspec.structs.replace(made, targets=members[:1], panel=panel, low_confidence=None)


def saying(*answers: str | Script, judge: str = "", door: OpenDoor | None = None) -> Rig:
    """Return a rig whose tiers a, b and c give these answers."""
    rig = Rig(*TIERS, *(["judge"] if judge else []), door=door)
    for tier, answer in zip(TIERS, answers, strict=True):
        rig[tier].always(answer if isinstance(answer, Script) else Script(tokens=(answer,)))
    if judge:
        rig["judge"].always(Script(tokens=(judge,)))
    return rig


def test_the_majority_is_sent_and_the_others_are_outvoted() -> None:
    async def main() -> None:
        rig = saying("It is 8.", "So 7.", "7")
        answer = await rig.run(call(), seated())
        assert answer.completion is not None
        assert answer.completion.choices[0].message["content"] == "So 7."
        assert (answer.target.tier, answer.commit_reason, answer.confidence) == ("b", "fused", 0.9)
        outcomes = {attempt.tier: (attempt.outcome, attempt.why) for attempt in rig.trail}
        assert outcomes == {
            "a": ("outvoted", "2 of 3 agree"),
            "b": ("committed", "2 of 3 agree"),
            "c": ("outvoted", "2 of 3 agree"),
        }
        assert all(attempt.cost_microusd > 0 for attempt in rig.trail)

    run_virtual(main())


def test_experts_are_asked_side_by_side_each_on_its_own_tier() -> None:
    async def main() -> None:
        rig = saying(*(Script(first_s=3.0) for _ in TIERS))
        await rig.run(call(), seated())
        assert [attempt.ended_s for attempt in rig.trail] == [3.0] * 3
        assert sorted(rig.door.entered) == list(TIERS)
        assert rig.door.running == 0

    run_virtual(main())


def test_a_client_that_streams_gets_the_chosen_answer_at_once() -> None:
    async def main() -> None:
        rig = saying("7", "8", "7")
        answer, chunks = await rig.stream(call(stream=True, include_usage=True), seated())
        assert text(chunks) == "7"
        assert answer.completion is None
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None, "stop"]
        assert chunks[-1].usage is not None
        assert all(choice.logprobs is None for chunk in chunks for choice in chunk.choices), "they were not asked for"
        assert not any(sent.chat.stream for tier in TIERS for sent in rig[tier].calls)
        await answer.aclose()
        assert sorted(rig.outcomes) == ["committed", "outvoted", "outvoted"]

    run_virtual(main())


def test_the_most_confident_answer_can_decide() -> None:
    async def main() -> None:
        rig = saying(Script(tokens=(("7", BAD),)), Script(tokens=(("7", BAD),)), Script(tokens=(("8", GOOD),)))
        assert (await rig.run(call(), seated("best_confidence"))).target.tier == "c"

    run_virtual(main())


def test_a_judge_picks_and_its_word_is_paid_for() -> None:
    async def main() -> None:
        rig = saying("7", "8", "9", judge="I say 3")
        answer = await rig.run(call(), seated("judge", judge="judge"))
        assert answer.target.tier == "c"
        assert rig.outcomes == ["consulted", "outvoted", "outvoted", "committed"]
        assert rig.trail[0].tier == "judge"
        assert "Answer 3:\n9" in rig["judge"].calls[0].chat.messages[0].text

    run_virtual(main())


def test_a_judge_is_not_asked_where_all_agree() -> None:
    async def main() -> None:
        rig = saying("7", "It's 7", "= 7", judge="3")
        await rig.run(call(), seated("judge", judge="judge"))
        assert rig["judge"].calls == []

    run_virtual(main())


@pytest.mark.parametrize("script", [GONE, Script(first_s=100.0)])
def test_a_judge_that_fails_leaves_it_to_the_vote(script: Script) -> None:
    async def main() -> None:
        rig = saying("7", "8", "8", judge="1")
        rig["judge"].always(script)
        answer = await rig.run(call(), seated("judge", judge="judge", deadline_s=5.0))
        assert answer.target.tier == "b"
        assert "the judge failed" in rig.trail[-1].why
        assert "failed" in rig.outcomes

    run_virtual(main())


def test_an_expert_that_breaks_is_turned_away_or_is_late_is_left_out() -> None:
    async def main() -> None:
        rig = saying(GONE, Script(first_s=20.0), "8", door=OpenDoor())
        answer = await rig.run(call(), seated(deadline_s=5.0))
        assert answer.target.tier == "c"
        assert sorted(rig.outcomes) == ["committed", "failed", "failed"]
        assert rig["b"].meter.aborted == 1
        full = saying("7", "7", "8", door=OpenDoor(full=frozenset({"a", "b"})))
        assert (await full.run(call(), seated())).target.tier == "c"
        assert full.outcomes == ["committed"]

    run_virtual(main())


def test_where_no_expert_answers_the_most_promising_ones_error_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(BackendUnavailable):
            await saying(GONE, GONE, GONE).run(call(), seated())
        with pytest.raises(Overloaded):
            await saying("7", "7", "7", door=OpenDoor(full=frozenset(TIERS))).run(call(), seated())
        slow = saying(*(Script(first_s=20.0) for _ in TIERS))
        with pytest.raises(DeadlineExceeded, match="no expert answered within 5 s"):
            await slow.run(call(), seated(deadline_s=5.0))
        assert slow.outcomes == ["failed"] * 3

    run_virtual(main())


def test_a_failure_rule_takes_over_where_every_expert_broke() -> None:
    async def main() -> None:
        rig = saying(GONE, GONE, GONE, judge="it is up")
        rules = (FailureRule("next", ("any",), then=("judge",)),)
        answer = await rig.run(call(), seated(judge="judge", on_failure=rules, limits=Limits(max_attempts=4)))
        assert answer.target.tier == "judge"
        assert rig.outcomes == ["failed", "failed", "failed", "committed"]

    run_virtual(main())


def test_the_requests_own_deadline_ends_the_panel() -> None:
    async def main() -> None:
        rig = saying(*(Script(first_s=20.0) for _ in TIERS))
        with pytest.raises(DeadlineExceeded):
            await rig.run(call(), seated(), deadline_s=2.0)
        assert all(rig[tier].meter.aborted == 1 for tier in TIERS)

    run_virtual(main())


def test_a_client_that_leaves_stops_every_engine_and_pays_for_what_was_written() -> None:
    async def main() -> None:
        rig = saying("7", Script(first_s=20.0), Script(first_s=20.0))
        task = asyncio.ensure_future(rig.run(call(), seated()))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait((task,))
        assert rig.outcomes == ["cancelled"] * 3
        assert sum(attempt.completion_tokens for attempt in rig.trail) == 1
        assert rig.door.running == 0

    run_virtual(main())


def test_an_answer_in_a_broken_form_is_outvoted_with_the_reason() -> None:
    async def main() -> None:
        rig = saying("no", "no", '{"a": 1}')
        answer = await rig.run(call(response_format={"type": "json_object"}), seated())
        assert answer.target.tier == "c"
        assert rig.trail[0].why == "the answer is not JSON"

    run_virtual(main())
