"""The ledger's record, version 1, and how it is made from a plan and its attempts. Pure.

Money is whole micro-USD. Times inside are seconds from the start of the request. Client-given header and metadata
values are in it only under names that the operator allowed.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headrace.contracts.models import Price
from headrace.contracts.principal import Principal
from headrace.contracts.routing import Attempt, Features, LoggedFeatures, Pace, Plan, Target

VERSION: Final = 1
MAX_VALUE_CHARS: Final = 128


class TargetRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One candidate of the plan."""

    tier: str
    backend: str
    model: str
    judged: bool
    why_not_judged: str = ""


class PlanRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided before any model was called.

    propensity: probability with which the first target was chosen. chances: that of every tier
    that could have stood first, where chance had a say. scores: what the rule's strategy compared, by tier. pace: where
    the rule's budget stood. experts and fuse: who was asked side by side, and how one answer was made of theirs.
    shadow: who was to be asked too, without the client waiting.
    """

    virtual_model: str
    rule: str
    targets: tuple[TargetRecord, ...]
    propensity: float
    expected_cost_microusd: int
    skipped: Mapping[str, str] = {}
    reason: str = ""
    chances: Mapping[str, float] = {}
    scores: Mapping[str, float] = {}
    pace: Pace | None = None
    experts: tuple[TargetRecord, ...] = ()
    fuse: str = ""
    shadow: TargetRecord | None = None


class RetrievalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request's documents came to: ids and figures, never a question or a text.

    searches: that were made (the cheap one of `auto` not counted). hits: found; passages: of these shown to the model;
    tokens: they took. support: 0..1, None where the model searched itself or nothing was searched. unsupported: what
    was done for lack of it. failure: of a search that was passed over. cited and dropped: citations of the answer.
    """

    collections: tuple[str, ...]
    when: str
    searches: int = 0
    hits: int = 0
    passages: int = 0
    tokens: int = 0
    support: float | None = None
    unsupported: str = ""
    failure: str = ""
    cited: int = 0
    dropped: int = 0
    probe_s: float = 0.0
    search_s: float = 0.0
    context_s: float = 0.0
    cite_s: float = 0.0


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finished request.

    outcome: "ok", "cancelled", or the error's code or type. prompt_tokens and completion_tokens: what the client
    received, and so paid for in its own view. cost_microusd: every attempt together. always_large_microusd: what the
    same tokens would have cost on the strongest tier (an expectation: its own answer has another length).
    wasted_tokens: generated and never shown.
    """

    v: int
    time: str
    decision: str
    request: str
    key: str
    tenant: str
    endpoint: str
    stream: bool
    model: str
    revision: str
    artefacts: Mapping[str, str]
    features: LoggedFeatures | None
    plan: PlanRecord | None
    attempts: tuple[Attempt, ...]
    outcome: str
    status: int
    prompt_tokens: int
    completion_tokens: int
    cost_microusd: int
    wasted_tokens: int
    total_s: float
    ttft_s: float | None = None
    always_large_microusd: int = 0
    retrieval: RetrievalRecord | None = None

    @property
    def answer(self) -> Attempt | None:
        """The attempt whose answer went to the client, None if none did."""
        for attempt in self.attempts:
            if attempt.outcome in {"committed", "broken"}:
                return attempt
        return None


class Request(msgspec.Struct, frozen=True):
    """What the ledger knows of a request besides its plan and attempts. `started` is wall-clock seconds."""

    decision_id: str
    request_id: str
    principal: Principal
    endpoint: str
    stream: bool
    model: str
    started: float
    revision: str
    artefacts: Mapping[str, str]


class Outcome(msgspec.Struct, frozen=True):
    """How it ended for the client: HTTP status, the word for it, and the tokens it received."""

    status: int
    word: str
    prompt_tokens: int
    completion_tokens: int
    total_s: float
    ttft_s: float | None = None


class Allowed(msgspec.Struct, frozen=True):
    """The client-given names that may be in a record (lower case for headers)."""

    headers: Collection[str] = ()
    metadata: Collection[str] = ()


NOTHING_ALLOWED: Final = Allowed()


def build(
    request: Request,
    plan: Plan | None,
    attempts: Sequence[Attempt],
    outcome: Outcome,
    *,
    strongest: Price | None = None,
    allowed: Allowed = NOTHING_ALLOWED,
    retrieval: RetrievalRecord | None = None,
) -> Record:
    """Return the record of one finished request; `plan` is None when it was refused before one was made."""
    answered = outcome.prompt_tokens or outcome.completion_tokens
    return Record(
        v=VERSION,
        time=datetime.fromtimestamp(request.started, UTC).isoformat(timespec="milliseconds"),
        decision=request.decision_id,
        request=request.request_id,
        key=request.principal.key_id,
        tenant=request.principal.tenant,
        endpoint=request.endpoint,
        stream=request.stream,
        model=request.model[:MAX_VALUE_CHARS],
        revision=request.revision,
        artefacts=request.artefacts,
        features=None if plan is None else _features(plan.features, allowed),
        plan=None if plan is None else _plan(plan),
        attempts=tuple(attempts),
        outcome=outcome.word,
        status=outcome.status,
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        cost_microusd=sum([attempt.cost_microusd for attempt in attempts]),
        wasted_tokens=sum([each.completion_tokens for each in attempts if each.outcome in _WASTED]),
        total_s=_short(outcome.total_s),
        ttft_s=None if outcome.ttft_s is None else _short(outcome.ttft_s),
        always_large_microusd=strongest.cost_microusd(outcome.prompt_tokens, outcome.completion_tokens)
        if strongest is not None and answered
        else 0,
        retrieval=retrieval,
    )


def encode(record: Record) -> bytes:
    """Return one JSON line with its end."""
    return _ENCODER.encode(record) + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """Return a line as plain values, None for a torn line or one that is no record."""
    try:
        value = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("v"), int) and "decision" in value else None


_WASTED: Final = frozenset({"rejected", "failed", "outvoted", "consulted", "searched"})
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


def _features(features: Features, allowed: Allowed) -> LoggedFeatures:
    return LoggedFeatures(
        difficulty=round(features.difficulty, 5),
        domain=features.domain,
        unfamiliar=features.unfamiliar,
        prompt_tokens=features.prompt_tokens,
        turns=features.turns,
        tools=features.tools,
        json=features.json,
        language=features.language,
        metadata=_only(features.metadata, allowed.metadata),
        headers=_only(features.headers, allowed.headers),
        quality={backend: round(value, 5) for backend, value in features.quality.items()} if features.quality else {},
        retrieval_support=None if features.retrieval_support is None else round(features.retrieval_support, 5),
    )


def _only(values: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: values[name][:MAX_VALUE_CHARS] for name in names if name in values} if names else {}


def _plan(plan: Plan) -> PlanRecord:
    return PlanRecord(
        virtual_model=plan.virtual_model,
        rule=plan.rule,
        targets=tuple([_target(target) for target in plan.targets]),
        propensity=plan.propensity,
        expected_cost_microusd=plan.expected_cost_microusd,
        skipped=plan.skipped,
        reason=plan.reason,
        chances=plan.chances,
        scores=plan.scores,
        pace=plan.pace,
        experts=() if plan.panel is None else tuple([_target(member) for member in plan.panel.members]),
        fuse="" if plan.panel is None else plan.panel.fuse,
        shadow=None if plan.shadow is None else _target(plan.shadow),
    )


def _target(target: Target) -> TargetRecord:
    return TargetRecord(target.tier, target.backend, target.card.id, target.judged, target.why_not_judged)


def _short(seconds: float) -> float:
    return round(seconds, 6)
