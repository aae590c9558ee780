"""One attempt: a place on the tier, the upstream, and the decision whether its answer commits."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from headrace.contracts.chat import ChatCall, Chunk
from headrace.contracts.errors import BackendError, BackendProtocol, DeadlineExceeded
from headrace.contracts.protocols import Admission, AnswerJudge, Backend, UpstreamCall
from headrace.contracts.routing import Attempt, CommitReason, Plan, Target
from headrace.router.cascade.answer import Answer, Stream
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.evidence import answer_evidence
from headrace.router.cascade.probe import Probe
from headrace.router.cascade.record import OpenAttempt
from headrace.router.cascade.strip import Strip, strip_completion
from headrace.router.cascade.tally import Tally
from headrace.router.cascade.verdict import Bench, Verdict


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer was not good enough; its engine has stopped and its record is closed."""


class Try:
    """One try on one target; `run` is called once.

    may_escalate: None where the answer is not judged, else tells from the attempt so far whether a rejected answer
    could be followed by a better one; where not, it is kept.
    """

    def __init__(
        self,
        call: ChatCall,
        plan: Plan,
        context: RunContext,
        trail: list[Attempt],
        *,
        target: Target,
        backend: Backend,
        judge: AnswerJudge,
        clock: Callable[[], float],
        may_escalate: Callable[[Attempt], bool] | None,
        is_last: bool,
    ) -> None:
        self._call = call
        self._plan = plan
        self._context = context
        self._trail = trail
        self._target = target
        self._backend = backend
        self._clock = clock
        self._may_escalate = may_escalate
        self._unjudged: CommitReason = "last_tier" if is_last and plan.low_confidence else "question_only"
        self._bench: Bench | None = None
        if may_escalate is not None and plan.low_confidence is not None:
            self._bench = Bench(judge, plan.low_confidence, call, target.card.id, plan.features.domain)

    async def run(self, admission: Admission) -> Answer | Rejected:
        """Return the committed answer or the rejection. BackendError when the upstream breaks before commit."""
        record = OpenAttempt(
            self._target,
            self._context,
            self._trail,
            prompt_tokens=self._plan.features.prompt_tokens,
            clock=self._clock,
        )
        try:
            if self._call.stream:
                return await self._streamed(record, admission)
            return await self._whole(record, admission)
        except (BackendError, DeadlineExceeded) as error:
            record.broke(error)
            raise
        except asyncio.CancelledError:
            record.cancelled(self._context.deadline)
            raise

    def _upstream_call(self) -> UpstreamCall:
        return UpstreamCall(
            chat=self._call,
            probe=self._bench is not None,
            deadline=self._context.deadline,
            request_id=self._context.request_id,
            affinity=self._context.affinity,
            cache_salt=self._context.cache_salt,
        )

    async def _whole(self, record: OpenAttempt, admission: Admission) -> Answer | Rejected:
        async with admission.slot(self._target.tier, deadline=self._context.deadline):
            record.admitted()
            completion = await self._backend.complete(self._upstream_call())
        record.tally.add_whole(completion)
        if not completion.choices:
            raise BackendProtocol("the answer has no choices")
        verdict = Verdict(keep=True, reason=self._unjudged)
        if self._bench is not None:
            choice = completion.choices[0]
            is_json = self._call.wants_json or bool(choice.message.get("tool_calls"))
            evidence = answer_evidence(choice, json=is_json)
            verdict = self._bench.whole(evidence, choice.message, choice.finish_reason or "stop")
            verdict = self._settled(verdict, record)
        record.judged(verdict)
        if verdict.reason is None:
            record.close("rejected")
            return Rejected()
        record.close("committed")
        stripped = strip_completion(completion, self._call, record.tally)
        return Answer(self._target, verdict.reason, verdict.confidence, completion=stripped)

    async def _streamed(self, record: OpenAttempt, admission: Admission) -> Answer | Rejected:
        async with AsyncExitStack() as resources:
            await resources.enter_async_context(admission.slot(self._target.tier, deadline=self._context.deadline))
            record.admitted()
            upstream = self._backend.stream(self._upstream_call())
            late: Callable[[], Awaitable[Sequence[Chunk]]] | None = None
            if self._bench is None:
                resources.push_async_callback(upstream.aclose)
                held = await _first(upstream, record.tally)
                verdict = Verdict(keep=True, reason=self._unjudged)
            else:
                probe = Probe(upstream, self._bench, record.tally)
                resources.push_async_callback(probe.close)
                verdict = self._settled(await probe.judge(), record)
                held, late = probe.take_held(), probe.late
            record.judged(verdict)
            if verdict.reason is None:
                await resources.aclose()
                record.close("rejected")
                return Rejected()
            stream = Stream(
                held,
                upstream,
                late=late,
                record=record,
                strip=Strip(self._call, is_probed=self._bench is not None),
                resources=resources.pop_all(),
            )
        return Answer(self._target, verdict.reason, verdict.confidence, stream=stream)

    def _settled(self, verdict: Verdict, record: OpenAttempt) -> Verdict:
        """Keep a rejected answer where nothing stronger may follow it: within the bounds it is the best there is."""
        if verdict.keep or self._may_escalate is None:
            return verdict
        if self._may_escalate(record.snapshot("rejected")):
            return verdict
        return Verdict(keep=True, reason="last_tier", confidence=verdict.confidence, why=verdict.why)


async def _first(upstream: AsyncGenerator[Sequence[Chunk], None], tally: Tally) -> Sequence[Chunk]:
    """Return the first batch: up to there another tier can take over."""
    async for batch in upstream:
        if batch:
            tally.add(batch)
            return batch
    raise BackendProtocol("the stream ended before its first chunk")
