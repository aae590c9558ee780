"""The cascade's rules from end to end: scripted backends, a scripted judge, virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from headrace.contracts.chat import Chunk
from headrace.contracts.policy import FailureRule, Probe
from headrace.models.backends.fake import Script
from headrace.router.cascade.answer import Answer
from tests.support.cascade import BAD, GOOD, OpenDoor, Rig, plan, text
from tests.support.routing import call, tool
from tests.support.virtual_time import run_virtual

STREAM = call(stream=True)
GOOD_TOKENS = tuple((f"g{i} ", GOOD) for i in range(8))
BAD_TOKENS = tuple((f"b{i} ", BAD) for i in range(8))
AGAIN = FailureRule("again", ("timeout", "http_503"), retries=1)
NEXT = FailureRule("next", ("any",), then=("large", "small"))


def small_says(rig: Rig, **script: Any) -> None:
    rig["small"].always(Script(**script))


async def read(answer: Answer, got: list[Chunk]) -> None:
    async for batch in answer.chunks():
        got.extend(batch)


def test_a_confident_stream_commits_after_the_probes_tokens_and_flows() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, delay_s=0.1)
        answer = await rig.run(STREAM, plan("small", "large"))
        assert rig["small"].meter.completion_tokens == 4
        assert (answer.target.tier, answer.commit_reason, answer.confidence) == ("small", "confident", 0.9)
        chunks = [chunk async for batch in answer.chunks() for chunk in batch]
        assert text(chunks) == "".join(token for token, _ in GOOD_TOKENS)
        assert rig.outcomes == ["committed"]
        assert rig["large"].calls == []

    run_virtual(main())


def test_a_sure_judge_commits_before_the_probe_is_full() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        rig.judge.final_after = 2
        small_says(rig, tokens=GOOD_TOKENS)
        await rig.run(STREAM, plan("small", "large"))
        assert rig["small"].meter.completion_tokens == 2

    run_virtual(main())


def test_a_weak_draft_is_aborted_in_the_engine_and_nothing_of_it_leaks() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS)
        rig["large"].always(Script(tokens=("Right", "!")))
        answer, chunks = await rig.stream(STREAM, plan("small", "large"))
        assert text(chunks) == "Right!"
        assert (answer.target.tier, answer.commit_reason) == ("large", "last_tier")
        assert rig["small"].meter.aborted == 1
        assert rig["small"].meter.running == 0
        assert rig.outcomes == ["rejected", "committed"]
        assert (rig.trail[0].completion_tokens, rig.trail[0].confidence) == (4, 0.2)

    run_virtual(main())


def test_entries_are_counted_and_not_chunks() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, tokens_per_chunk=4)
        await rig.run(STREAM, plan("small", "large"))
        assert rig.judge.seen == [("prefix small-model", (GOOD,) * 4, False)]

    run_virtual(main())


def test_the_time_bound_starts_at_the_first_token() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, first_s=10.0, delay_s=0.1)
        answer = await rig.run(STREAM, plan("small", "large"))
        assert answer.commit_reason == "confident"
        await answer.aclose()

    run_virtual(main())


def test_at_the_time_bound_the_calibration_for_the_tokens_seen_decides() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, delay_s=1.0)
        clock = asyncio.get_running_loop().time
        started = clock()
        answer = await rig.run(STREAM, plan("small", "large"))
        assert answer.commit_reason == "time_bound"
        assert clock() - started == pytest.approx(1.5)
        chunks = [chunk async for batch in answer.chunks() for chunk in batch]
        assert text(chunks) == "".join(token for token, _ in GOOD_TOKENS)

    run_virtual(main())


@pytest.mark.parametrize(("on_uncertain", "tier"), [("escalate", "large"), ("commit", "small")])
def test_undecided_at_the_time_bound_on_uncertain_decides(on_uncertain: Any, tier: str) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS, delay_s=1.0)
        probe = Probe(tokens=4, s=1.5, on_uncertain=on_uncertain)
        answer, chunks = await rig.stream(STREAM, plan("small", "large", probe=probe))
        assert answer.target.tier == tier
        assert answer.commit_reason == ("uncertain" if tier == "small" else "last_tier")
        assert text(chunks).startswith("b0" if tier == "small" else "Hello")

    run_virtual(main())


@pytest.mark.parametrize(("logprob", "tier"), [(GOOD, "small"), (BAD, "large")])
def test_an_answer_that_ends_before_the_probe_is_judged_whole(logprob: float, tier: str) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=(("Paris", logprob), (".", GOOD)))
        answer, chunks = await rig.stream(STREAM, plan("small", "large"))
        assert answer.target.tier == tier
        assert rig.judge.seen[-1] == ("whole small-model", (logprob, GOOD), False)
        if tier == "small":
            assert (answer.commit_reason, text(chunks)) == ("whole", "Paris.")

    run_virtual(main())


@pytest.mark.parametrize(
    ("arguments", "tier"), [('{"place": "Rome"}', "small"), ('{"place": 3}', "large"), ("{", "large")]
)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_call_is_kept_only_when_its_arguments_validate(arguments: str, tier: str, streamed: bool) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=(("So ", GOOD),), tools=(("look_up", arguments),), delay_s=1.0)
        answer = await rig.run(call(stream=streamed, tools=(tool(),)), plan("small", "large"))
        assert answer.target.tier == tier
        await answer.aclose()

    run_virtual(main())


def test_a_tool_call_is_held_past_the_time_bound() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=(), tools=(("look_up", '{"place": "Rome"}'),), delay_s=5.0)
        answer, chunks = await rig.stream(call(stream=True, tools=(tool(),)), plan("small", "large"))
        assert answer.commit_reason == "whole"
        calls = [part for c in chunks for choice in c.choices for part in choice.delta.get("tool_calls", ())]
        assert [part["function"]["arguments"] for part in calls] == ["", '{"place": "Rome"}']
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    run_virtual(main())


def test_the_grammars_tokens_of_a_json_answer_are_not_evidence() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        tokens = (('{"', BAD), ("name", BAD), ('":', BAD), (' "', BAD), ("Ann", GOOD), ('"}', BAD))
        small_says(rig, tokens=tokens)
        asked = call(stream=True, response_format={"type": "json_object"})
        answer = await rig.run(asked, plan("small", "large"))
        assert answer.commit_reason == "whole"
        assert rig.judge.seen[-1] == ("whole small-model", (GOOD,), True)
        await answer.aclose()

    run_virtual(main())


def test_a_whole_json_answer_must_fit_its_schema() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=(('{"a": "x"}', GOOD),))
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        asked = call(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
        answer = await rig.run(asked, plan("small", "large"))
        assert answer.target.tier == "large"
        assert "schema" in rig.trail[0].why

    run_virtual(main())


@pytest.mark.parametrize(("logprob", "tier", "reason"), [(GOOD, "small", "whole"), (BAD, "large", "last_tier")])
def test_an_answer_that_is_not_streamed_is_judged_whole(logprob: float, tier: str, reason: str) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=(("Paris", logprob),))
        answer = await rig.run(call(), plan("small", "large"))
        assert (answer.target.tier, answer.commit_reason) == (tier, reason)
        assert answer.completion is not None
        assert answer.completion.choices[0].logprobs is None
        assert answer.completion.usage is not None

    run_virtual(main())


def test_the_last_targets_stream_is_passed_on_with_no_holding() -> None:
    async def main() -> None:
        rig = Rig("large")
        rig["large"].always(Script(tokens=BAD_TOKENS, delay_s=1.0))
        answer = await rig.run(STREAM, plan("large"))
        assert rig["large"].meter.completion_tokens == 1
        assert not rig["large"].calls[0].probe
        assert answer.commit_reason == "last_tier"
        await answer.aclose()

    run_virtual(main())


def test_an_unjudged_draft_is_kept_for_the_question_only() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS)
        answer = await rig.run(STREAM, plan("small", "large", judged=(False, False)))
        assert (answer.target.tier, answer.commit_reason) == ("small", "question_only")
        await answer.aclose()

    run_virtual(main())


def test_escalation_keeps_the_whole_contract() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS)
        asked = call(stream=True, tools=(tool(),), wire={"seed": 7, "stop": ["x"]})
        await rig.stream(asked, plan("small", "large"))
        first, second = rig["small"].calls[0], rig["large"].calls[0]
        assert first.chat is second.chat is asked
        assert (first.probe, second.probe) == (True, False)
        assert (first.request_id, first.cache_salt, first.affinity, first.deadline) == (
            second.request_id, second.cache_salt, second.affinity, second.deadline,
        )  # fmt: skip

    run_virtual(main())


def test_each_attempt_takes_a_place_on_its_tier_and_gives_it_back() -> None:
    async def main() -> None:
        rig = Rig("small", "large", door=OpenDoor(wait_s=0.25))
        small_says(rig, tokens=BAD_TOKENS)
        await rig.stream(STREAM, plan("small", "large"))
        assert (rig.door.entered, rig.door.running) == (["small", "large"], 0)
        assert [attempt.queued_s for attempt in rig.trail] == [0.25, 0.25]
        assert rig.trail[1].ttft_s == 0.5

    run_virtual(main())


def test_three_tiers_are_climbed_one_by_one() -> None:
    async def main() -> None:
        rig = Rig("small", "middle", "large")
        small_says(rig, tokens=BAD_TOKENS)
        rig["middle"].always(Script(tokens=GOOD_TOKENS))
        answer, _ = await rig.stream(STREAM, plan("small", "middle", "large"))
        assert (answer.target.tier, answer.commit_reason, rig.outcomes) == (
            "middle",
            "confident",
            ["rejected", "committed"],
        )

    run_virtual(main())


def test_requests_do_not_share_state() -> None:
    async def one(rig: Rig, tokens: tuple[tuple[str, float], ...]) -> str:
        small_says(rig, tokens=tokens)
        _, chunks = await rig.stream(STREAM, plan("small", "large"))
        return text(chunks)

    async def both() -> list[str]:
        jobs: list[Coroutine[Any, Any, str]] = [
            one(Rig("small", "large"), GOOD_TOKENS),
            one(Rig("small", "large"), BAD_TOKENS),
        ]
        return list(await asyncio.gather(*jobs))

    assert run_virtual(both())[1] == "Hello there."
