"""Shadow traffic: what clients asked is asked of another tier too, and nobody waits for it.

Begins once the client has its answer. Bounded: with too many under way, or no free place on the tier, a mirror is
dropped and counted. It never stands in a line before a client, and it is charged to no budget.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import BackendError, DeadlineExceeded, HeadraceError
from headrace.contracts.routing import Attempt, Plan, Target
from headrace.gateway.delivery import Listener
from headrace.gateway.ledger.shadow import VERSION, ShadowRecord
from headrace.gateway.recorder import Story
from headrace.router.cascade.asking import Asker, Heard
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.verdict import Verdict


class Mirrored(msgspec.Struct, frozen=True):
    """One request that the client has its answer to, and what its shadow needs. answer: what it comes down to."""

    decision_id: str
    tenant: str
    call: ChatCall
    plan: Plan
    target: Target
    context: RunContext
    answered_by: str
    answer: str
    max_in_flight: int
    asker: Asker


class Metered(Protocol):
    """Counts shadows: the metrics."""

    def shadowed(self, virtual_model: str, tier: str, outcome: str, cost_microusd: int = 0) -> None:
        """Count one: "ok", "dropped", or the kind of error."""
        ...


class Shadows:
    """Runs mirrored requests. For one event loop; owns every task that it starts, until `stop`.

    keep: queues a record for the ledger. has_room(tier): a place is free and nobody waits for it. wall: seconds since
    1970.
    """

    def __init__(
        self,
        *,
        keep: Callable[[ShadowRecord], None],
        metrics: Metered,
        has_room: Callable[[str], bool],
        wall: Callable[[], float],
    ) -> None:
        self._keep = keep
        self._metrics = metrics
        self._has_room = has_room
        self._wall = wall
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: Counter[str] = Counter()
        self._is_stopped = False

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def follow(self, story: Story, context: RunContext, listener: Listener) -> None:
        """Mirror an answered request as its plan says; not to the backend that gave the answer."""
        plan, answer, revision = story.plan, story.answer, story.revision
        shadow = revision.policy.virtual_models[plan.virtual_model].shadow
        if shadow is None or plan.shadow is None or answer is None or answer.target.backend == plan.shadow.backend:
            return
        asker = revision.cascade.asker
        now = asker.clock()
        self.send(
            Mirrored(
                decision_id=story.decision_id,
                tenant=story.exchange.principal.tenant,
                call=story.call,
                plan=plan,
                target=plan.shadow,
                context=msgspec.structs.replace(context, started=now, deadline=now + plan.limits.deadline_s),
                answered_by=answer.target.card.id,
                answer=listener.answer,
                max_in_flight=shadow.max_in_flight,
                asker=asker,
            )
        )

    def send(self, mirrored: Mirrored) -> None:
        """Begin one, or drop it. Never waits."""
        name, tier = mirrored.plan.virtual_model, mirrored.target.tier
        if self._is_stopped or self._running[name] >= mirrored.max_in_flight or not self._has_room(tier):
            self._metrics.shadowed(name, tier, "dropped")
            return
        self._running[name] += 1
        task = asyncio.get_running_loop().create_task(self._run(mirrored))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel what runs, which stops the engines' work on it, and take no more."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, mirrored: Mirrored) -> None:
        began, trail = self._wall(), list[Attempt]()
        heard: Heard | None = None
        outcome = "cancelled"
        try:
            heard = await self._ask(mirrored, trail)
            heard.record.judged(Verdict(keep=False, confidence=heard.confidence, why=heard.fault))
            heard.record.close("outvoted")
            outcome = "ok"
        except HeadraceError as error:
            outcome = error.kind if isinstance(error, BackendError) else error.type
        finally:
            self._running[mirrored.plan.virtual_model] -= 1
            self._tell(mirrored, outcome, trail, heard, began)

    async def _ask(self, mirrored: Mirrored, trail: list[Attempt]) -> Heard:
        seen, asker = mirrored.plan.features, mirrored.asker
        try:
            async with asyncio.timeout(mirrored.context.deadline - asker.clock()):
                return await asker.ask(
                    mirrored.call,
                    mirrored.context,
                    trail,
                    mirrored.target,
                    prompt_tokens=seen.prompt_tokens,
                    domain=seen.domain,
                )
        except TimeoutError as error:
            raise DeadlineExceeded("the shadow's deadline passed") from error

    def _tell(
        self, mirrored: Mirrored, outcome: str, trail: Sequence[Attempt], heard: Heard | None, began: float
    ) -> None:
        attempt = trail[0] if trail else None
        plan = mirrored.plan
        cost = 0 if attempt is None else attempt.cost_microusd
        self._metrics.shadowed(plan.virtual_model, mirrored.target.tier, outcome, cost)
        agrees = None
        if heard is not None and heard.answer and mirrored.answer:
            agrees = heard.answer == mirrored.answer
        self._keep(
            ShadowRecord(
                v=VERSION,
                shadow=mirrored.decision_id,
                time=datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
                tenant=mirrored.tenant,
                virtual_model=plan.virtual_model,
                revision=plan.revision,
                answered_by=mirrored.answered_by,
                outcome=outcome,
                attempt=attempt,
                confidence=None if heard is None else heard.confidence,
                agrees=agrees,
            )
        )
