"""What the cascade does when things break, run out or are left: failures, limits, deadlines, leaving clients."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from headrace.contracts.chat import Chunk, ChunkChoice, Completion
from headrace.contracts.errors import (
    BackendProtocol,
    BackendStatus,
    BackendTimeout,
    BackendUnavailable,
    DeadlineExceeded,
    Overloaded,
)
from headrace.contracts.policy import FailureRule, Limits
from headrace.contracts.protocols import UpstreamCall
from headrace.models.backends.fake import FakeBackend, Script
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.runner import Cascade, RunContext
from tests.support.cascade import BAD, GOOD, OpenDoor, Rig, ScriptedJudge, plan, text
from tests.support.routing import call, card
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


def test_a_client_that_leaves_while_a_late_read_is_under_way_stops_the_engine() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, delay_s=1.0)
        answer = await rig.run(STREAM, plan("small", "large"))
        await anext(aiter(answer.chunks()))
        await answer.aclose()
        assert (rig["small"].meter.aborted, rig["small"].meter.running, rig.outcomes) == (1, 0, ["cancelled"])
        assert rig.door.running == 0

    run_virtual(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_failure_before_commit_is_retried_on_the_tier_then_on_the_listed_tiers(streamed: bool) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        broken = Script(error=BackendTimeout("no first byte"))
        rig["small"].then(broken, broken)
        answer = await rig.run(call(stream=streamed), plan("small", "large", on_failure=(AGAIN, NEXT)))
        await answer.aclose()
        assert [attempt.tier for attempt in rig.trail] == ["small", "small", "large"]
        assert rig.outcomes[:2] == ["failed", "failed"]

    run_virtual(main())


def test_a_retry_waits_as_long_as_the_upstream_asks_within_a_bound() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        rig["small"].then(Script(error=BackendStatus("busy", upstream_status=503, retry_after_s=60.0)))
        clock = asyncio.get_running_loop().time
        started = clock()
        await rig.run(call(), plan("small", "large", on_failure=(AGAIN,)))
        assert clock() - started == pytest.approx(2.0)

    run_virtual(main())


def test_a_failure_without_a_rule_is_raised() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, error=BackendUnavailable("refused"))
        with pytest.raises(BackendUnavailable):
            await rig.run(call(), plan("small", "large", on_failure=(AGAIN,)))
        assert rig.outcomes == ["failed"]
        assert rig.trail[0].prompt_tokens == 0

    run_virtual(main())


def test_a_stronger_tier_that_breaks_gives_way_to_the_tier_whose_draft_was_rejected() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS)
        rig["large"].always(Script(error=BackendUnavailable("refused")))
        answer, chunks = await rig.stream(STREAM, plan("small", "large", on_failure=(NEXT,)))
        assert [attempt.tier for attempt in rig.trail] == ["small", "large", "small"]
        assert (answer.commit_reason, text(chunks)) == ("last_tier", "".join(token for token, _ in BAD_TOKENS))

    run_virtual(main())


@pytest.mark.parametrize("error_after", [1, 3])
def test_a_draft_that_breaks_while_it_is_held_is_a_failure_before_commit(error_after: int) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, error=BackendProtocol("cut"), error_after=error_after)
        answer, chunks = await rig.stream(STREAM, plan("small", "large", on_failure=(NEXT,)))
        assert (answer.target.tier, text(chunks), rig.outcomes) == ("large", "Hello there.", ["failed", "committed"])

    run_virtual(main())


def test_a_failure_after_commit_is_raised_from_the_chunks_and_nothing_is_retracted() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, error=BackendProtocol("cut"), error_after=6)
        answer = await rig.run(STREAM, plan("small", "large", on_failure=(NEXT,)))
        got: list[Chunk] = []
        with pytest.raises(BackendProtocol):
            await read(answer, got)
        assert text(got) == "".join(token for token, _ in GOOD_TOKENS[:6])
        assert (rig.outcomes, rig.trail[0].completion_tokens, rig.door.running) == (["broken"], 6, 0)

    run_virtual(main())


def test_max_attempts_bounds_the_chain() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, error=BackendTimeout("slow"))
        rules = (FailureRule("again", ("any",), retries=5),)
        with pytest.raises(BackendTimeout):
            await rig.run(call(), plan("small", "large", on_failure=rules, limits=Limits(max_attempts=2)))
        assert len(rig.trail) == 2

    run_virtual(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_weak_draft_is_kept_where_the_cost_limit_forbids_a_better_one(streamed: bool) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=BAD_TOKENS)
        limits = Limits(max_cost_microusd=1000)
        answer = await rig.run(call(stream=streamed), plan("small", "large", limits=limits))
        assert (answer.target.tier, answer.commit_reason, answer.confidence) == ("small", "last_tier", 0.2)
        await answer.aclose()
        assert rig["large"].calls == []

    run_virtual(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_the_deadline_ends_the_request_and_stops_the_engine(streamed: bool) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, first_s=100.0)
        with pytest.raises(DeadlineExceeded):
            await rig.run(call(stream=streamed), plan("small", "large"), deadline_s=5.0)
        assert rig["small"].meter.running == 0
        assert (rig.outcomes, rig.trail[0].ended_s, rig.trail[0].usage_estimated) == (["failed"], 5.0, True)

    run_virtual(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_before_commit_stops_the_engine(streamed: bool) -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, first_s=1.0, delay_s=1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await rig.run(call(stream=streamed), plan("small", "large"))
        assert (rig["small"].meter.running, rig["small"].meter.aborted, rig.outcomes) == (0, 1, ["cancelled"])
        assert rig.door.running == 0

    run_virtual(main())


def test_a_client_that_leaves_a_held_draft_pays_for_its_tokens_so_far() -> None:
    async def main() -> None:
        rig = Rig("small", "large")
        small_says(rig, tokens=GOOD_TOKENS, delay_s=0.4, usage="continuous")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await rig.run(STREAM, plan("small", "large"))
        attempt = rig.trail[0]
        assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.usage_estimated) == (7, 2, False)

    run_virtual(main())


def test_closing_a_stream_that_nobody_read_counts_as_left() -> None:
    async def main() -> None:
        rig = Rig("large")
        answer = await rig.run(STREAM, plan("large"))
        answer.chunks()
        await answer.aclose()
        await answer.aclose()
        assert (rig.outcomes, rig["large"].meter.running, rig.door.running) == (["cancelled"], 0, 0)

    run_virtual(main())


def test_a_full_tier_is_told_to_the_client_at_once() -> None:
    async def main() -> None:
        rig = Rig("small", "large", door=OpenDoor(full=frozenset({"small"})))
        with pytest.raises(Overloaded):
            await rig.run(call(), plan("small", "large", on_failure=(NEXT,)))
        assert rig.trail == []

    run_virtual(main())


async def test_a_backend_that_gives_up_at_the_deadline_is_the_deadlines_end() -> None:
    now = [0.0]

    class Late(FakeBackend):
        async def complete(self, call: UpstreamCall) -> Completion:
            now[0] = call.deadline
            raise BackendTimeout("no byte in time")

    late = Late(card("small-model"), id="small-backend")
    cascade = Cascade({"small-backend": late}, ScriptedJudge(), OpenDoor(), lambda: now[0])
    with pytest.raises(DeadlineExceeded):
        await cascade.run(call(), plan("small", on_failure=(AGAIN,)), RunContext("req_1", 0.0, 60.0), [])


@pytest.mark.parametrize(("read_s", "outcome"), [(0.0, "failed"), (1.0, "broken")])
def test_a_backend_may_end_an_attempt_at_the_deadline_itself(read_s: float, outcome: str) -> None:
    class Punctual(FakeBackend):
        async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
            del call
            if read_s:
                yield [Chunk(choices=[ChunkChoice(delta={"content": "a"})])]
                await asyncio.sleep(read_s)
            raise DeadlineExceeded("the deadline passed")

    async def main() -> None:
        rig = Rig("small")
        rig.backends = {"small-backend": Punctual(card("small-model"), id="small-backend")}
        with pytest.raises(DeadlineExceeded):
            await rig.stream(STREAM, plan("small"))
        assert rig.outcomes == [outcome]
        assert rig.trail[0].usage_estimated

    run_virtual(main())
