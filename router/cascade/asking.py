"""One backend's whole answer, judged but not committed: what fusing experts and shadow traffic are made of."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from headrace.contracts.chat import ChatCall, Choice, Completion
from headrace.contracts.errors import BackendError, BackendProtocol, DeadlineExceeded
from headrace.contracts.protocols import Admission, AnswerJudge, Backend, UpstreamCall
from headrace.contracts.routing import Attempt, Target
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.evidence import answer_evidence
from headrace.router.cascade.extract import extract_answer
from headrace.router.cascade.record import OpenAttempt
from headrace.router.cascade.validity import fault


class Heard(msgspec.Struct, frozen=True):
    """A whole answer that nobody has got yet. record: its attempt, to be closed by who decides what becomes of it.

    answer: what its text comes down to. confidence: calibrated P(right), None where it cannot be judged. fault: what is
    wrong with its form, empty when it is sound.
    """

    target: Target
    record: OpenAttempt
    completion: Completion
    answer: str
    confidence: float | None
    fault: str

    @property
    def text(self) -> str:
        """The words of its first choice."""
        return str(self.completion.choices[0].message.get("content") or "")


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks backends for whole answers. Safe to share between tasks. clock: seconds, that of every deadline."""

    backends: Mapping[str, Backend]
    judge: AnswerJudge
    admission: Admission
    clock: Callable[[], float]

    async def ask(
        self,
        call: ChatCall,
        context: RunContext,
        trail: list[Attempt],
        target: Target,
        *,
        prompt_tokens: int,
        domain: str,
    ) -> Heard:
        """Return the target's answer to the call, whatever the call says of streaming.

        context.deadline: when to give up. An attempt that breaks or is cancelled is closed here. BackendError,
        DeadlineExceeded, Overloaded.
        """
        whole = msgspec.structs.replace(call, stream=False, include_usage=False) if call.stream else call
        record = OpenAttempt(target, context, trail, prompt_tokens=prompt_tokens, clock=self.clock)
        try:
            async with self.admission.slot(target.tier, deadline=context.deadline):
                record.admitted()
                completion = await self.backends[target.backend].complete(_upstream(whole, context, target))
            record.tally.add_whole(completion)
            record.answered()
            if not completion.choices:
                raise BackendProtocol("the answer has no choices")
        except (BackendError, DeadlineExceeded) as error:
            record.broke(error)
            raise
        except asyncio.CancelledError:
            record.cancelled(context.deadline)
            raise
        choice = completion.choices[0]
        text = str(choice.message.get("content") or "")
        sure = self._confidence(call, choice, target.card.id, domain)
        return Heard(target, record, completion, extract_answer(text), sure, fault(call, choice.message))

    def _confidence(self, call: ChatCall, choice: Choice, model: str, domain: str) -> float | None:
        if not self.judge.is_calibrated(model=model, domain=domain):
            return None
        is_json = call.wants_json or bool(choice.message.get("tool_calls"))
        evidence = answer_evidence(choice, json=is_json)
        if not evidence:
            return None
        reason = choice.finish_reason or "stop"
        return self.judge.whole(
            evidence, model=model, domain=domain, json=is_json, max_risk=0.5, finish_reason=reason
        ).value


def _upstream(call: ChatCall, context: RunContext, target: Target) -> UpstreamCall:
    return UpstreamCall(
        chat=call,
        probe="logprobs" in target.card.capabilities,
        deadline=context.deadline,
        request_id=context.request_id,
        affinity=context.affinity,
        cache_salt=context.cache_salt,
    )
