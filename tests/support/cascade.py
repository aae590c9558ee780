"""A scripted judge, an open door and a one-line cascade over fake backends, for tests on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from headrace.contracts.chat import ChatCall, Chunk
from headrace.contracts.errors import Overloaded
from headrace.contracts.policy import FailureRule, Limits, LowConfidence, Probe
from headrace.contracts.routing import Attempt, Confidence, Plan, Target
from headrace.models.backends.fake import FakeBackend
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.runner import Cascade
from tests.support.routing import card, features

GOOD, BAD = -0.1, -3.0


@dataclass
class ScriptedJudge:
    """Keeps an answer while every value it has seen is above `bar`; sure once it has seen `final_after` values."""

    bar: float = -1.0
    final_after: int = 10_000
    calibrated: bool = True
    seen: list[tuple[str, tuple[float, ...], bool]] = field(default_factory=list)

    def prefix(self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float) -> Confidence:
        del domain, max_risk
        return self._judge("prefix", logprobs, model, is_json=json)

    def whole(
        self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float, finish_reason: str
    ) -> Confidence:
        del domain, max_risk, finish_reason
        return self._judge("whole", logprobs, model, is_json=json)

    def is_calibrated(self, *, model: str, domain: str) -> bool:
        del model, domain
        return self.calibrated

    def _judge(self, how: str, logprobs: Sequence[float], model: str, *, is_json: bool) -> Confidence:
        self.seen.append((f"{how} {model}", tuple(logprobs), is_json))
        enough = bool(logprobs) and min(logprobs) > self.bar
        return Confidence(0.9 if enough else 0.2, enough, len(logprobs) >= self.final_after, "scripted")


@dataclass
class OpenDoor:
    """Admits everyone and counts; `full` tiers are Overloaded; `wait_s` is the time in the queue."""

    wait_s: float = 0.0
    full: frozenset[str] = frozenset()
    running: int = 0
    entered: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def slot(self, tier: str, *, deadline: float) -> AsyncIterator[None]:
        del deadline
        if tier in self.full:
            raise Overloaded(f"tier {tier!r} is full", retry_after_s=1.0)
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        self.entered.append(tier)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


def backend(tier: str, price: str = "1") -> FakeBackend:
    return FakeBackend(card(f"{tier}-model", price=price), id=f"{tier}-backend")


def plan(
    *tiers: str,
    judged: Sequence[bool] | None = None,
    probe: Probe | None = None,
    on_failure: tuple[FailureRule, ...] = (),
    limits: Limits | None = None,
    prompt_tokens: int = 10,
) -> Plan:
    """Return a plan over fake tiers; all but the last are judged. Every tier may be taken after a failure."""
    marks = judged if judged is not None else [True] * (len(tiers) - 1) + [False]
    made = {
        tier: Target(tier, f"{tier}-backend", card(f"{tier}-model", price=str(10**index)), judged=mark)
        for index, (tier, mark) in enumerate(zip(tiers, marks, strict=True))
    }
    return Plan(
        virtual_model="headrace/auto",
        revision="r1",
        rule="default",
        features=features(prompt_tokens=prompt_tokens),
        targets=tuple(made.values()),
        skipped={},
        low_confidence=LowConfidence(probe or Probe(tokens=4, s=1.5), 0.05, tiers[1:]),
        on_failure=on_failure,
        limits=limits or Limits(),
        failure_targets={tier: Target(tier, t.backend, t.card, judged=False) for tier, t in made.items()},
    )


class Rig:
    """A cascade over fake backends, one request at a time; `trail` holds its attempts."""

    def __init__(self, *tiers: str, judge: ScriptedJudge | None = None, door: OpenDoor | None = None) -> None:
        self.backends: Mapping[str, FakeBackend] = {f"{tier}-backend": backend(tier) for tier in tiers}
        self.judge = judge or ScriptedJudge()
        self.door = door or OpenDoor()
        self.trail: list[Attempt] = []

    def __getitem__(self, tier: str) -> FakeBackend:
        return self.backends[f"{tier}-backend"]

    async def run(self, call: ChatCall, plan: Plan, deadline_s: float = 60.0) -> Answer:
        clock = asyncio.get_running_loop().time
        cascade = Cascade(self.backends, self.judge, self.door, clock)
        context = RunContext("req_1", clock(), clock() + deadline_s, cache_salt="salt", affinity="talk")
        return await cascade.run(call, plan, context, self.trail)

    async def stream(self, call: ChatCall, plan: Plan) -> tuple[Answer, list[Chunk]]:
        answer = await self.run(call, plan)
        return answer, [chunk async for batch in answer.chunks() for chunk in batch]

    @property
    def outcomes(self) -> list[str]:
        return [attempt.outcome for attempt in self.trail]


def text(chunks: Sequence[Chunk]) -> str:
    return "".join(choice.delta.get("content") or "" for chunk in chunks for choice in chunk.choices)
