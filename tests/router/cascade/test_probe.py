import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from headrace.contracts.chat import Chunk, ChunkChoice
from headrace.contracts.errors import BackendProtocol, BackendUnavailable
from headrace.contracts.policy import LowConfidence
from headrace.contracts.policy import Probe as Rule
from headrace.contracts.protocols import UpstreamCall
from headrace.models.backends.fake import FakeBackend, Script
from headrace.router.cascade import probe as probe_file
from headrace.router.cascade.probe import Probe
from headrace.router.cascade.tally import Tally
from headrace.router.cascade.verdict import Bench
from tests.support.cascade import GOOD, ScriptedJudge, backend, text
from tests.support.routing import call
from tests.support.virtual_time import run_virtual


def bench(rule: Rule | None = None) -> Bench:
    low = LowConfidence(rule or Rule(tokens=3, s=1.0, on_uncertain="commit"), 0.05, ("large",))
    return Bench(ScriptedJudge(), low, call(stream=True), "m", "chat")


async def breaks_after_two_seconds() -> AsyncGenerator[Sequence[Chunk], None]:
    yield [Chunk(choices=[ChunkChoice(delta={"content": "a"})])]
    await asyncio.sleep(2)
    raise BackendUnavailable("gone")


def probing(script: Script, rule: Rule | None = None) -> tuple[Probe, FakeBackend]:
    fake = backend("small")
    fake.always(script)
    asked = call(stream=True)
    clock = asyncio.get_running_loop().time
    upstream = fake.stream(UpstreamCall(asked, probe=True, deadline=clock() + 60, request_id="req_1"))
    return Probe(upstream, bench(rule), Tally(5, clock)), fake


def test_what_was_held_is_handed_over_once() -> None:
    async def main() -> None:
        probe, _ = probing(Script(tokens=(("a", GOOD),) * 6))
        assert (await probe.judge()).keep
        assert (text(probe.take_held()), probe.take_held()) == ("aaa", [])
        await probe.close()

    run_virtual(main())


def test_the_read_under_way_at_the_time_bound_is_not_lost() -> None:
    async def main() -> None:
        probe, fake = probing(Script(tokens=(("a", GOOD),) * 6, delay_s=0.7))
        verdict = await probe.judge()
        assert (verdict.reason, text(probe.take_held())) == ("time_bound", "aa")
        assert text(await probe.late()) == "a"
        await probe.close()
        assert fake.meter.running == 0

    run_virtual(main())


def test_closing_while_a_read_is_under_way_stops_the_upstream_and_may_be_repeated() -> None:
    async def main() -> None:
        probe, fake = probing(Script(tokens=(("a", GOOD),) * 6, delay_s=0.7))
        await probe.judge()
        await probe.close()
        await probe.close()
        assert (fake.meter.running, fake.meter.aborted) == (0, 1)

    run_virtual(main())


def test_what_the_upstream_raises_before_the_verdict_is_raised() -> None:
    async def main() -> None:
        probe, _ = probing(Script(error=BackendUnavailable("gone"), error_after=1))
        with pytest.raises(BackendUnavailable):
            await probe.judge()
        await probe.close()

    run_virtual(main())


def test_a_break_in_the_late_read_comes_out_of_it() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        upstream = breaks_after_two_seconds()
        probe = Probe(upstream, bench(), Tally(5, clock))
        assert (await probe.judge()).reason == "uncertain"
        assert text(probe.take_held()) == "a"
        with pytest.raises(BackendUnavailable):
            await probe.late()
        await probe.close()

    run_virtual(main())


def test_a_stream_that_ends_without_a_finish_reason_breaks_the_promise() -> None:
    async def main() -> None:
        probe, _ = probing(Script(tokens=(("a", GOOD),), finish_reason=None))
        with pytest.raises(BackendProtocol):
            await probe.judge()
        await probe.close()

    run_virtual(main())


def test_an_engine_that_sends_no_log_probabilities_is_decided_at_the_time_bound() -> None:
    async def main() -> None:
        probe, _ = probing(Script(tokens=("a",) * 9, delay_s=0.3, logprobs=False), Rule(3, 1.0, "commit"))
        verdict = await probe.judge()
        assert (verdict.keep, verdict.reason) == (True, "uncertain")
        await probe.close()

    run_virtual(main())


def test_what_is_held_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_file, "MAX_HELD_CHARS", 3)

    async def main() -> None:
        probe, _ = probing(Script(tokens=(("aa", GOOD),) * 9), Rule(tokens=9, s=9.0))
        verdict = await probe.judge()
        assert (verdict.keep, verdict.why) == (False, "over 3 characters held back")
        await probe.close()

    run_virtual(main())
