"""Whether an answer may be kept: the judge's word, the form of the answer, and what the policy says when unsure."""

from collections.abc import Sequence

import msgspec

from headrace.contracts.chat import ChatCall, JsonObject
from headrace.contracts.policy import LowConfidence
from headrace.contracts.protocols import AnswerJudge
from headrace.contracts.routing import CommitReason
from headrace.router.cascade.validity import fault


class Verdict(msgspec.Struct, frozen=True):
    """keep: commit for `reason`; else escalate because of `why`. confidence: calibrated P(right), where judged."""

    keep: bool
    reason: CommitReason | None = None
    confidence: float | None = None
    why: str = ""


class Bench(msgspec.Struct, frozen=True):
    """The judge, set to one request and one model. Pure; evidence is natural logs, oldest first."""

    judge: AnswerJudge
    low: LowConfidence
    call: ChatCall
    model: str
    domain: str

    def running(self, evidence: Sequence[float]) -> Verdict | None:
        """Judge a running answer; None while more tokens may change the decision."""
        tokens = self.low.probe.tokens
        seen = self.judge.prefix(
            evidence[:tokens],
            model=self.model,
            domain=self.domain,
            json=self.call.wants_json,
            max_risk=self.low.max_risk,
        )
        if not seen.final and len(evidence) < tokens:
            return None
        return Verdict(seen.enough, "confident" if seen.enough else None, seen.value, seen.why)

    def at_time_bound(self, evidence: Sequence[float]) -> Verdict:
        """Judge what came by the time bound; where that is not enough, `on_uncertain` decides."""
        seen = self.judge.prefix(
            evidence[: self.low.probe.tokens],
            model=self.model,
            domain=self.domain,
            json=self.call.wants_json,
            max_risk=self.low.max_risk,
        )
        if seen.enough:
            return Verdict(keep=True, reason="time_bound", confidence=seen.value, why=seen.why)
        if self.low.probe.on_uncertain == "commit":
            return Verdict(keep=True, reason="uncertain", confidence=seen.value, why=seen.why)
        why = f"undecided after {len(evidence)} tokens at the time bound of {self.low.probe.s} s"
        return Verdict(keep=False, confidence=seen.value, why=f"{why}: {seen.why}" if seen.why else why)

    def whole(self, evidence: Sequence[float], message: JsonObject, finish_reason: str) -> Verdict:
        """Judge a finished answer: its form first, then the judge."""
        if wrong := fault(self.call, message):
            return Verdict(keep=False, why=wrong)
        seen = self.judge.whole(
            evidence,
            model=self.model,
            domain=self.domain,
            json=self.call.wants_json or bool(message.get("tool_calls")),
            max_risk=self.low.max_risk,
            finish_reason=finish_reason,
        )
        return Verdict(seen.enough, "whole" if seen.enough else None, seen.value, seen.why)
