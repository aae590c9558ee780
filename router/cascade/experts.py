"""Asks a panel of experts side by side and commits one of their answers. How one is chosen stands in fuse.py."""

import asyncio
from collections.abc import Sequence

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import BackendError, DeadlineExceeded, HeadraceError, Overloaded
from headrace.contracts.routing import Attempt, Panel, Plan, Target
from headrace.router.cascade import fuse
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.asking import Asker, Heard
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.fuse import Ballot, Ruling
from headrace.router.cascade.spoken import Spoken
from headrace.router.cascade.strip import strip_completion
from headrace.router.cascade.verdict import Verdict


class Session:
    """One question before one panel; `answer` is called once.

    Every expert waits for a place on its own tier. One that breaks, is turned away or is late is left out; the error of
    the most promising one is raised where all are. Cancelling stops every engine.
    """

    def __init__(self, call: ChatCall, plan: Plan, context: RunContext, trail: list[Attempt], asker: Asker) -> None:
        self._call = call
        self._plan = plan
        self._context = context
        self._trail = trail
        self._asker = asker
        self._heard: dict[str, Heard] = {}
        self._errors: dict[str, HeadraceError] = {}

    async def answer(self, panel: Panel) -> Answer:
        """Return the committed answer. BackendError, DeadlineExceeded or Overloaded where no expert answered."""
        try:
            async with asyncio.TaskGroup() as experts:
                for member in panel.members:
                    experts.create_task(self._hear(member, panel.deadline_s))
            heard = [self._heard[member.backend] for member in panel.members if member.backend in self._heard]
            if not heard:
                raise next(self._errors[member.backend] for member in panel.members if member.backend in self._errors)
            ruling = await self._rule(panel, [_ballot(one) for one in heard])
            return self._commit(heard, ruling)
        finally:
            for one in self._heard.values():
                one.record.close("cancelled", why="the client left")  # harmless where it is closed

    async def _hear(self, member: Target, deadline_s: float) -> None:
        """Ask one expert; an error of its own is not the others'."""
        deadline = min(self._context.deadline, self._asker.clock() + deadline_s)
        try:
            async with asyncio.timeout(deadline - self._asker.clock()):
                self._heard[member.backend] = await self._ask(self._call, member, deadline)
        except (BackendError, DeadlineExceeded, Overloaded) as error:
            self._errors[member.backend] = error
        except TimeoutError:
            message = f"no expert answered within {deadline_s:g} s; allow more with deadline_s of the rule's `use`"
            self._errors[member.backend] = DeadlineExceeded(message)

    async def _ask(self, call: ChatCall, target: Target, deadline: float) -> Heard:
        seen = self._plan.features
        context = msgspec.structs.replace(self._context, deadline=deadline)
        return await self._asker.ask(
            call, context, self._trail, target, prompt_tokens=seen.prompt_tokens, domain=seen.domain
        )

    async def _rule(self, panel: Panel, ballots: Sequence[Ballot]) -> Ruling:
        if panel.fuse == "best_confidence":
            return fuse.best_confidence(ballots)
        if panel.fuse == "vote" or panel.judge is None or not fuse.needs_judge(ballots):
            return fuse.vote(ballots)
        question = fuse.judge_call(self._call, ballots, context_tokens=panel.judge.card.context_tokens)
        deadline = min(self._context.deadline, self._asker.clock() + panel.deadline_s)
        try:
            async with asyncio.timeout(deadline - self._asker.clock()):
                word = await self._ask(question, panel.judge, deadline)
        except (BackendError, DeadlineExceeded, Overloaded, TimeoutError) as error:
            return fuse.without_judge(ballots, f"the judge failed ({type(error).__name__})")
        ruling = fuse.judged(ballots, word.text)
        word.record.judged(Verdict(keep=False, why=ruling.why))
        word.record.close("consulted")
        return ruling

    def _commit(self, heard: Sequence[Heard], ruling: Ruling) -> Answer:
        for place, one in enumerate(heard):
            if place != ruling.chosen:
                one.record.judged(Verdict(keep=False, confidence=one.confidence, why=one.fault or ruling.why))
                one.record.close("outvoted")
        chosen = heard[ruling.chosen]
        chosen.record.judged(Verdict(keep=True, reason="fused", confidence=chosen.confidence, why=ruling.why))
        chosen.record.close("committed")
        completion = strip_completion(chosen.completion, self._call, chosen.record.tally)
        if not self._call.stream:
            return Answer(chosen.target, "fused", chosen.confidence, completion=completion)
        return Answer(chosen.target, "fused", chosen.confidence, stream=Spoken(completion, self._call))


def _ballot(heard: Heard) -> Ballot:
    spent = heard.record.snapshot("outvoted").cost_microusd
    return Ballot(heard.text, heard.answer, heard.confidence, spent, not heard.fault)
