"""An attempt while it runs; it becomes one frozen Attempt at its end."""

from collections.abc import Callable

from headrace.contracts.errors import BackendError, DeadlineExceeded
from headrace.contracts.routing import Attempt, AttemptOutcome, Target
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.tally import Tally
from headrace.router.cascade.verdict import Verdict


class OpenAttempt:
    """Times and tokens of one try. `close` appends it to the trail once; later calls do nothing."""

    def __init__(
        self,
        target: Target,
        context: RunContext,
        trail: list[Attempt],
        *,
        prompt_tokens: int,
        clock: Callable[[], float],
    ) -> None:
        self.target = target
        self.tally = Tally(prompt_tokens, clock)
        self._context = context
        self._trail = trail
        self._clock = clock
        self._started = clock()
        self._queued_s = 0.0
        self._ended: float | None = None
        self.is_admitted = False
        self._is_closed = False
        self._verdict = Verdict(keep=False)

    def admitted(self) -> None:
        """Note the end of the wait for a place on the tier."""
        self.is_admitted = True
        self._queued_s = self._clock() - self._started

    def answered(self) -> None:
        """Note the end of the answer, where what becomes of it is decided only later."""
        self._ended = self._clock()

    def judged(self, verdict: Verdict) -> None:
        """Note what was decided about this attempt's answer, and why."""
        self._verdict = verdict

    def close(self, outcome: AttemptOutcome, *, why: str = "", is_unmetered: bool = False) -> None:
        """Append the finished attempt. is_unmetered: the engine may have worked on it before its first word."""
        if not self._is_closed:
            self._is_closed = True
            self._trail.append(self.snapshot(outcome, why=why, is_unmetered=is_unmetered))

    def broke(self, error: BackendError | DeadlineExceeded) -> None:
        """Close an attempt that broke; one that never got a place is none."""
        if self.is_admitted:
            self.close("failed", why=str(error), is_unmetered=isinstance(error, DeadlineExceeded))

    def cancelled(self, deadline: float) -> None:
        """Close an attempt that was called off: the deadline came, or the client left."""
        if self.is_admitted:
            is_late = self._clock() >= deadline
            why = "the deadline passed" if is_late else "the client left"
            self.close("failed" if is_late else "cancelled", why=why, is_unmetered=True)

    def snapshot(self, outcome: AttemptOutcome, *, why: str = "", is_unmetered: bool = False) -> Attempt:
        """Return the attempt as it would stand if it ended now."""
        tally, start = self.tally, self._context.started
        first = tally.first_token_at
        ended = self._clock() if self._ended is None else self._ended
        card = self.target.card
        return Attempt(
            tier=self.target.tier,
            backend=self.target.backend,
            model=card.id,
            outcome=outcome,
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.completion_tokens,
            cost_microusd=card.price.cost_microusd(tally.prompt_tokens, tally.completion_tokens),
            started_s=round(self._started - start, 6),
            ended_s=round(ended - start, 6),
            ttft_s=None if first is None else round(first - start, 6),
            queued_s=round(self._queued_s, 6),
            confidence=self._verdict.confidence,
            commit_reason=self._verdict.reason,
            why=why or self._verdict.why,
            usage_estimated=tally.is_estimated or (is_unmetered and not tally.has_answered),
        )
