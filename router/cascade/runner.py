"""Runs a plan: one attempt after the other until an answer commits. Attempts themselves stand in attempt.py.

Nothing of an attempt reaches the client before its answer commits; from then on nothing is retracted. Every attempt
that reached a backend ends up in the trail, whatever its end.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Never

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import BackendError, DeadlineExceeded
from headrace.contracts.protocols import Admission, AnswerJudge, Backend
from headrace.contracts.routing import Attempt, Plan, Target
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.asking import Asker
from headrace.router.cascade.attempt import Rejected, Try
from headrace.router.cascade.budget import refusal
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.experts import Session
from headrace.router.cascade.failure import Recovery

__all__ = ["Cascade", "RunContext"]


class Cascade:
    """Answers calls from plans. Safe to share between tasks.

    clock: seconds, the event loop's own in production; deadlines are absolute times on it. asker: for whole answers
    outside any plan's chain.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        judge: AnswerJudge,
        admission: Admission,
        clock: Callable[[], float],
    ) -> None:
        self._backends = backends
        self._judge = judge
        self._admission = admission
        self._clock = clock
        self.asker = Asker(backends, judge, admission, clock)

    async def run(self, call: ChatCall, plan: Plan, context: RunContext, trail: list[Attempt]) -> Answer:
        """Return the first answer that commits; every attempt that ended is appended to `trail`.

        A streamed answer's last attempt is appended when its iteration ends or it is closed. Raises the last
        BackendError when no failure rule has anything left, DeadlineExceeded, or Overloaded from a tier's queue.
        Cancelling it stops the engine.
        """
        chain = _Chain(call, plan, trail)
        panel = plan.panel
        try:
            async with asyncio.timeout(context.deadline - self._clock()):
                while True:
                    try:
                        if panel is not None:
                            seated, panel = (
                                panel,
                                None,
                            )  # where all its experts broke, one tier after the other is tried
                            return await Session(call, plan, context, trail, self.asker).answer(seated)
                        answer = await self._try(call, plan, context, trail, chain)
                    except BackendError as error:
                        self._check_deadline(context, error)
                        await asyncio.sleep(chain.recover(error))
                        continue
                    if not isinstance(answer, Rejected):
                        return answer
                    chain.escalate()
        except TimeoutError as error:
            _expired(error)

    async def _try(
        self, call: ChatCall, plan: Plan, context: RunContext, trail: list[Attempt], chain: "_Chain"
    ) -> Answer | Rejected:
        target, fallback = chain.target, chain.stronger
        attempt = Try(
            call,
            plan,
            context,
            trail,
            target=target,
            backend=self._backends[target.backend],
            judge=self._judge,
            clock=self._clock,
            may_escalate=chain.may_escalate if target.judged and fallback is not None else None,
            is_last=fallback is None,
        )
        return await attempt.run(self._admission)

    def _check_deadline(self, context: RunContext, error: BackendError) -> None:
        if self._clock() >= context.deadline:
            _expired(error)


class _Chain:
    """Where one request stands in its plan."""

    def __init__(self, call: ChatCall, plan: Plan, trail: list[Attempt]) -> None:
        self._call = call
        self._plan = plan
        self._trail = trail
        self._before = len(trail)
        self._at = 0
        self._recovery: Recovery | None = None
        self.target = plan.targets[0]

    @property
    def stronger(self) -> Target | None:
        """The next target of escalation, None at the end of the plan and on a target taken after a failure."""
        upcoming = self._at + 1
        return self._plan.targets[upcoming] if upcoming < len(self._plan.targets) else None

    def may_escalate(self, current: Attempt) -> bool:
        """Tell whether the stronger target may still be tried once `current` has ended."""
        stronger = self.stronger
        return stronger is not None and not self._refusal(stronger, current)

    def escalate(self) -> None:
        """Move to the stronger target."""
        self._at += 1
        self.target = self._plan.targets[self._at]

    def recover(self, error: BackendError) -> float:
        """Move to what the failure rules say and return the pause before it; raise the error when nothing is left."""
        recovery = self._recovery = self._recovery or Recovery(self._plan)
        tier = recovery.after(error, self.target.tier)
        if tier is None:
            raise error
        pause_s = recovery.pause_s(error, tier) if tier == self.target.tier else 0.0
        if tier != self.target.tier:
            later = [i for i, each in enumerate(self._plan.targets) if i > self._at and each.tier == tier]
            self._at = later[0] if later else len(self._plan.targets)
            self.target = self._plan.targets[self._at] if later else self._plan.failure_targets[tier]
        if self._refusal(self.target):
            raise error
        return pause_s

    def _refusal(self, target: Target, *current: Attempt) -> str:
        return refusal(self._plan, self._call, [*self._trail[self._before :], *current], target)


def _expired(error: BaseException) -> Never:
    raise DeadlineExceeded("the request's deadline passed; allow more with limits.deadline_s") from error
