"""One property over all ways an attempt can go: the trail's tokens are the upstreams' own meters."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import BackendProtocol, BackendUnavailable, HeadraceError
from headrace.contracts.policy import FailureRule, Limits, Probe
from headrace.contracts.protocols import UpstreamCall
from headrace.contracts.routing import Attempt
from headrace.models.backends.fake import FakeBackend, Script
from headrace.router.cascade.attempt import Rejected, Try
from headrace.router.cascade.context import RunContext
from tests.support.cascade import BAD, GOOD, OpenDoor, Rig, ScriptedJudge, backend, plan
from tests.support.routing import call
from tests.support.virtual_time import run_virtual

PRICES = {target.tier: target.card.price for target in plan("small", "large").targets}
NEXT = FailureRule("next", ("any",), retries=1, then=("large", "small"))


@dataclass(frozen=True)
class Story:
    """One request: what each upstream does in turn, and when the client leaves (seconds, None: never)."""

    streamed: bool
    n: int
    judged: bool
    scripts: tuple[Script, ...]
    leaves_s: float | None
    stops_reading_after: int | None


scripts = st.builds(
    Script,
    tokens=st.lists(st.sampled_from([("yes ", GOOD), ("no ", BAD)]), min_size=1, max_size=7).map(tuple),
    error=st.sampled_from([None, None, BackendUnavailable("gone"), BackendProtocol("cut")]),
    error_after=st.integers(0, 6),
    first_s=st.sampled_from([0.0, 0.3]),
    delay_s=st.sampled_from([0.0, 0.1, 0.7]),
    tokens_per_chunk=st.integers(1, 3),
    prompt_tokens=st.integers(1, 50),
    usage=st.just("continuous"),
)
stories = st.builds(
    Story,
    streamed=st.booleans(),
    n=st.sampled_from([1, 1, 2]),
    judged=st.booleans(),
    scripts=st.lists(scripts, min_size=4, max_size=4).map(tuple),
    leaves_s=st.sampled_from([None, None, 0.2, 0.5, 1.7]),
    stops_reading_after=st.sampled_from([None, None, 0, 1, 3]),
)


async def play(story: Story) -> Rig:
    rig = Rig("small", "large")
    rig["small"].then(*story.scripts[:2])
    rig["large"].then(*story.scripts[2:])
    marks = (story.judged and story.n == 1, False)
    planned = plan("small", "large", judged=marks, on_failure=(NEXT,), probe=Probe(tokens=3, s=1.0))
    try:
        async with asyncio.timeout(story.leaves_s):
            answer = await rig.run(call(stream=story.streamed, n=story.n), planned)
            try:
                if story.streamed:
                    read = 0
                    async for _ in answer.chunks():
                        read += 1
                        if read == story.stops_reading_after:
                            break
            finally:
                await answer.aclose()
    except (HeadraceError, TimeoutError):
        pass
    return rig


@settings(max_examples=400, deadline=None)
@given(stories)
def test_the_trail_adds_up_to_the_upstreams_own_meters(story: Story) -> None:
    rig = run_virtual(play(story))
    for tier in ("small", "large"):
        meter = rig[tier].meter
        attempts = [attempt for attempt in rig.trail if attempt.tier == tier]
        assert len(attempts) == meter.requests
        assert sum(attempt.completion_tokens for attempt in attempts) == meter.completion_tokens
        assert sum(attempt.prompt_tokens for attempt in attempts) == meter.prompt_tokens
        assert meter.running == 0
        for attempt in attempts:
            assert attempt.cost_microusd == PRICES[tier].cost_microusd(attempt.prompt_tokens, attempt.completion_tokens)
    assert rig.door.running == 0


@settings(max_examples=150, deadline=None)
@given(stories, st.sampled_from(["none", "final"]))
def test_drafts_of_an_engine_that_sends_no_running_usage_add_up_by_their_entries(story: Story, usage: str) -> None:
    drafts = tuple(replace(script, usage=usage, error=None) for script in story.scripts)
    rig = run_virtual(play(replace(story, streamed=True, n=1, judged=True, scripts=drafts)))
    drafted = [attempt for attempt in rig.trail if attempt.tier == "small"]
    assert sum(attempt.completion_tokens for attempt in drafted) == rig["small"].meter.completion_tokens
    assert all(attempt.usage_estimated for attempt in drafted if attempt.outcome == "rejected")


def test_the_price_is_the_plans_so_that_a_reload_changes_no_running_request() -> None:
    async def main() -> Attempt:
        rig = Rig("small")
        rig["small"].card = backend("small", price="99").card
        await rig.run(call(), plan("small"))
        return rig.trail[0]

    attempt = run_virtual(main())
    assert attempt.cost_microusd == 7 + 2 * 3


async def try_once(fake: FakeBackend, *, streamed: bool, judged: bool = True) -> tuple[object, list[Attempt], OpenDoor]:
    clock = asyncio.get_running_loop().time
    trail: list[Attempt] = []
    door = OpenDoor()
    planned = plan("small", "large", limits=Limits())
    attempt = Try(
        call(stream=streamed),
        planned,
        RunContext("req_1", clock(), clock() + 60),
        trail,
        target=planned.targets[0],
        backend=fake,
        judge=ScriptedJudge(),
        clock=clock,
        may_escalate=(lambda _current: True) if judged else None,
        is_last=False,
    )
    return await attempt.run(door), trail, door


@pytest.mark.parametrize("streamed", [True, False])
def test_a_rejected_try_has_let_go_of_everything(streamed: bool) -> None:
    fake = backend("small")
    fake.always(Script(tokens=(("no", BAD),) * 9))
    result, trail, door = run_virtual(try_once(fake, streamed=streamed))
    assert isinstance(result, Rejected)
    assert ([attempt.outcome for attempt in trail], door.running, fake.meter.running) == (["rejected"], 0, 0)


def test_only_a_judged_try_asks_for_log_probabilities() -> None:
    fake = backend("small")

    async def main() -> list[UpstreamCall]:
        for judged in (True, False):
            result, _, _ = await try_once(fake, streamed=False, judged=judged)
            assert not isinstance(result, Rejected)
        return fake.calls

    assert [made.probe for made in run_virtual(main())] == [True, False]


def test_a_stream_without_a_single_chunk_is_a_broken_promise() -> None:
    fake = backend("small")
    fake.always(Script(tokens=(), finish_reason=None, usage="none"))
    with pytest.raises(BackendProtocol):
        run_virtual(try_once(fake, streamed=True, judged=False))
