"""The table of contents of the system: the life of one chat or completions request, step by step.

    1  who asks, and whether they may       gateway/app.py, gateway/auth.py
    2  what is asked                        gateway/codecs/
    3  the documents it is answered from    gateway/grounding/
    4  features and difficulty              router/features.py
    5  what will be tried                   router/policies/planner.py
    6  reserve what it may cost             gateway/limits/budget.py
    7  try, judge, commit or escalate       router/cascade/runner.py
    8  answer, with citations               gateway/delivery.py, gateway/codecs/, gateway/streaming.py
    9  settle what it did cost, record it   gateway/limits/budget.py, gateway/recorder.py

A share of the requests is asked of another tier too once the client has its answer (gateway/shadow.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import HeadraceError
from headrace.contracts.principal import Principal
from headrace.contracts.protocols import AnswerJudge, DifficultyModel
from headrace.gateway.affinity import Conversations, affinity_key
from headrace.gateway.delivery import Listener, decline, deliver
from headrace.gateway.exchange import ClientLeft, Exchange
from headrace.gateway.grounding.grounder import Grounder
from headrace.gateway.grounding.grounding import Grounding
from headrace.gateway.limits.budget import Budget, close
from headrace.gateway.pacing import Banks
from headrace.gateway.rates import Rates
from headrace.gateway.recorder import Recorder, Story
from headrace.gateway.revisions import Revision, Revisions
from headrace.gateway.shadow import Shadows
from headrace.gateway.streaming import Dialect
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.runner import RunContext
from headrace.router.features import NOT_SEARCHED, extract
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers requests on whatever revision is current. Safe to share between tasks.

    clock: the loop's, in seconds; wall: seconds since 1970; random: a fresh number in [0, 1) for strategies that draw.
    """

    revisions: Revisions
    difficulty: DifficultyModel
    judge: AnswerJudge
    grounder: Grounder
    budget: Budget
    recorder: Recorder
    conversations: Conversations
    banks: Banks
    rates: Rates
    shadows: Shadows
    clock: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[], float]

    async def answer(self, exchange: Exchange, call: ChatCall, dialect: Dialect) -> None:
        """Answer one validated call on its exchange; whatever happens to it, it is settled and recorded."""
        principal = exchange.principal
        revision = self.revisions.current
        key = affinity_key(revision.policy, call, principal)
        grounding = await self.grounder.ground(exchange, revision.policy, call)
        ask = self.ask(revision, call, principal, exchange.headers(), key, grounding=grounding, draw=self.random())
        plan = decide(ask)
        story = Story(exchange, revision, ask.call, dialect, plan, self.wall(), grounding)
        try:
            reservation = await self.budget.reserve(principal, plan.expected_cost_microusd)
            self.banks.take(plan)
            try:
                async with exchange.leaving(is_stream=call.stream):
                    await self._run(story, key)
            finally:
                self.banks.settle(plan, story.cost_microusd)
                await close(reservation, story.cost_microusd)
        except ClientLeft:
            story.client_left = True
            raise
        except HeadraceError as exc:
            story.error = exc
            raise
        finally:
            if revision.wants_rates:
                self.rates.learn(story.trail, is_stream=call.stream)
            self.recorder.record(story)

    def ask(
        self,
        revision: Revision,
        call: ChatCall,
        principal: Principal,
        headers: dict[str, str],
        key: str,
        *,
        grounding: Grounding | None = None,
        draw: float | None = None,
    ) -> Ask:
        """Return all that the plan is made from. `explain` decides from exactly this, with no number drawn."""
        retrieved = NOT_SEARCHED if grounding is None else grounding.retrieved
        seen = extract(
            call, self.difficulty, principal=principal, headers=headers, quality=revision.quality, retrieved=retrieved
        )
        return Ask(
            revision.policy,
            call if grounding is None else grounding.call,
            seen,
            is_live=revision.is_live,
            is_calibrated=self._is_calibrated,
            previous=self.conversations.previous(key),
            draw=draw,
            affinity=key,
            load=self.rates.load,
            pace=self.banks.pace,
        )

    async def _run(self, story: Story, key: str) -> None:
        exchange, plan, grounding = story.exchange, story.plan, story.grounding
        if grounding is not None and grounding.is_refused:
            await decline(story, grounding.refusal())
            return
        context = RunContext(
            request_id=exchange.request_id,
            started=exchange.started,
            deadline=exchange.started + plan.limits.deadline_s,
            cache_salt=story.revision.auth.cache_salt(exchange.principal),
            affinity=key,
        )

        async def run(call: ChatCall) -> Answer:
            return await story.revision.cascade.run(call, plan, context, story.trail)

        answer = await self.grounder.answer(run, story.call, story.trail, grounding)
        story.commit(answer, self.clock())
        listener = None if plan.shadow is None else Listener()
        try:
            await deliver(story, answer, listener)
        finally:
            await answer.aclose()
        self.conversations.remember(key, story.turn(answer.target.tier))
        if listener is not None:
            self.shadows.follow(story, context, listener)

    def _is_calibrated(self, model: str, domain: str) -> bool:
        return self.judge.is_calibrated(model=model, domain=domain)
