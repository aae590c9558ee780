"""What the plan and the cascade add to one request and to one chunk, in CPU microseconds, with no network at all.

`make bench NAME=cascade_overhead`. Each row is measured against reading the same in-process upstream directly, at two
lengths of stream: the difference of both gives the cost of one chunk, the rest is the cost of one request. The least
of several repeats counts: other load on the machine only ever adds.
"""

import asyncio
import csv
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import uvloop

from benchmarks.overhead import host
from headrace.contracts.chat import (
    ChatCall,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Logprobs,
    Message,
    TokenLogprob,
    Usage,
)
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import Comparison, LowConfidence, Policy, Probe, Rule, Tier, VirtualModel
from headrace.contracts.protocols import UpstreamCall
from headrace.contracts.routing import Confidence, Features, Plan
from headrace.router.cascade.runner import Cascade, RunContext
from headrace.router.policies.planner import make_plan

RESULT = Path(__file__).parent / "results" / "cascade_overhead.csv"
SHORT, LONG = 50, 550
REPEATS, REQUESTS = 9, 200


@dataclass
class Instant:
    """A backend whose answer is there at once: `chunks` chunks, or one whole answer."""

    card: ModelCard
    id: str = "b"
    chunks: int = SHORT
    running_usage: bool = False

    def is_live(self) -> bool:
        """Tell that it is up."""
        return True

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield one chunk a batch."""
        for number in range(self.chunks):
            logprobs = Logprobs([TokenLogprob("x", -0.1)]) if call.probe else None
            usage = Usage(5, number, 5 + number) if self.running_usage else None
            yield [Chunk([ChunkChoice(delta={"content": "word "}, logprobs=logprobs)], usage)]
        yield [Chunk([ChunkChoice(finish_reason="stop")])]
        yield [Chunk(usage=Usage(5, self.chunks, 5 + self.chunks))]

    async def complete(self, call: UpstreamCall) -> Completion:
        """Return a whole answer of fifty tokens."""
        logprobs = Logprobs([TokenLogprob("x", -0.1)] * 50) if call.probe else None
        return Completion([Choice(0, {"content": "word " * 50}, logprobs, "stop")], Usage(5, 50, 55))


class Content:
    """A judge that keeps everything once the probe is full."""

    def prefix(self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float) -> Confidence:
        """Judge a running answer."""
        del model, domain, json, max_risk
        return Confidence(0.9, enough=True, final=len(logprobs) >= 32)  # noqa: PLR2004  (the probe's tokens)

    def whole(
        self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float, finish_reason: str
    ) -> Confidence:
        """Judge a whole answer."""
        del logprobs, model, domain, json, max_risk, finish_reason
        return Confidence(0.9, enough=True, final=True)

    def is_calibrated(self, *, model: str, domain: str) -> bool:
        """Tell that everything is calibrated."""
        del model, domain
        return True


class Open:
    """Admission without bounds."""

    @asynccontextmanager
    async def slot(self, tier: str, *, deadline: float) -> AsyncGenerator[None, None]:
        """Admit."""
        del tier, deadline
        yield


def policy() -> Policy:
    """Return two tiers and one judged virtual model."""
    able = frozenset({"stream", "logprobs"})
    cards = {name: ModelCard(name, 4096, able, Price(Decimal(1), Decimal(2))) for name in ("small", "large")}
    select = (Rule("hard", Comparison("difficulty", "gt", 0.5), "large"), Rule("default", None, "small"))
    auto = VirtualModel("headrace/auto", select, LowConfidence(Probe(), 0.2, ("large",)))
    return Policy("r", (Tier("small", "small"), Tier("large", "large")), {auto.name: auto}, cards)


def features(difficulty: float) -> Features:
    """Return the features of a short question."""
    return Features(
        difficulty,
        "chat",
        unfamiliar=False,
        prompt_tokens=10,
        turns=1,
        tools=False,
        json=False,
        language="en",
        key="k",
        tenant="t",
    )


def planned(rules: Policy, call: ChatCall, asked: Features) -> Plan:
    """Plan one call."""
    return make_plan(rules, call, asked, is_live=lambda _: True, is_calibrated=lambda _model, _domain: True)


async def cpu_us(request: Callable[[], Awaitable[None]]) -> float:
    """Return the least CPU time of one request over several repeats."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(REQUESTS):
            await request()
        best = min(best, (time.process_time() - start) / REQUESTS * 1e6)
    return best


async def added_us(call: ChatCall, difficulty: float, *, chunks: int, running_usage: bool) -> float:
    """Return what the cascade adds to one request over reading its upstream directly."""
    rules = policy()
    plan = planned(rules, call, features(difficulty))
    backends = {name: Instant(card, name, chunks, running_usage) for name, card in rules.cards.items()}
    clock = asyncio.get_running_loop().time
    cascade = Cascade(backends, Content(), Open(), clock)
    upstream_call = UpstreamCall(call, probe=plan.targets[0].judged, deadline=clock() + 1e6, request_id="r")
    backend = backends[plan.targets[0].backend]

    async def direct() -> None:
        if call.stream:
            async for _ in backend.stream(upstream_call):
                pass
        else:
            await backend.complete(upstream_call)

    async def cascaded() -> None:
        answer = await cascade.run(call, plan, RunContext("r", clock(), clock() + 60), [])
        if call.stream:
            async for _ in answer.chunks():
                pass
        await answer.aclose()

    return await cpu_us(cascaded) - await cpu_us(direct)


async def measure() -> list[tuple[str, float, float]]:
    """Return rows of (what, CPU us a request, CPU us a chunk)."""
    asked = {
        stream: ChatCall("headrace/auto", "chat", (Message("user", "Hi"),), {}, stream) for stream in (True, False)
    }

    rules, easy = policy(), features(0.1)

    async def plan_once() -> None:
        planned(rules, asked[True], easy)

    rows = [("plan", await cpu_us(plan_once), 0.0)]
    for judged, difficulty in (("unjudged", 0.9), ("judged", 0.1)):
        rows.append((f"whole, {judged}", await added_us(asked[False], difficulty, chunks=0, running_usage=False), 0.0))
        for usage in (False, True):
            short = await added_us(asked[True], difficulty, chunks=SHORT, running_usage=usage)
            long = await added_us(asked[True], difficulty, chunks=LONG, running_usage=usage)
            chunk = (long - short) / (LONG - SHORT)
            words = f"stream, {judged}, usage {'on every chunk' if usage else 'at the end'}"
            rows.append((words, short - SHORT * chunk, chunk))
    return rows


def main() -> None:
    """Measure, print, write."""
    rows = uvloop.run(measure())
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("uvloop")}
    RESULT.parent.mkdir(exist_ok=True)
    with RESULT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "cpu_us_per_request", "cpu_us_per_chunk", *stamp])
        for what, request_us, chunk_us in rows:
            print(f"{what:45} {request_us:7.1f} us a request {chunk_us:6.2f} us a chunk")
            writer.writerow([what, f"{request_us:.1f}", f"{chunk_us:.2f}", *stamp.values()])
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
