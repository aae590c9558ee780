"""How a request is judged, planned, tried and recorded."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import FailureRule, Fuse, Limits, LowConfidence

AttemptOutcome = Literal[
    "committed",   # its answer went to the client, whole
    "rejected",    # judged not good enough before commit
    "failed",      # broke before commit
    "broken",      # broke after commit: the client saw OpenAI's mid-stream error
    "cancelled",   # the client left
    "outvoted",    # a whole answer of an expert; another one's went to the client
    "consulted",   # a judge's word on the experts' answers
    "searched",    # it asked for a search; the answer that follows went to the client
]  # fmt: skip
CommitReason = Literal[
    "confident",       # probe: calibrated confidence reached the bar within k tokens
    "time_bound",      # probe: the time bound came; calibration for the tokens seen said yes
    "uncertain",       # probe ended undecided; on_uncertain said commit
    "whole",           # judged whole (early end, or non-streamed) and good
    "question_only",   # no judging was possible or asked for: decided from the question alone
    "last_tier",       # nothing stronger is left in the plan
    "fused",           # chosen from the answers of several experts
]  # fmt: skip


class Difficulty(msgspec.Struct, frozen=True):
    """Question-side judgement. value in 0..1: calibrated P(large tier right and small tier wrong)."""

    value: float
    domain: str
    unfamiliar: bool
    artefact: str = ""


class Retrieved(msgspec.Struct, frozen=True):
    """What was found for a request before it is judged. support: 0..1, None where nothing was searched.

    tokens: that the passages add to the prompt.
    """

    support: float | None = None
    tokens: int = 0


class Features(msgspec.Struct, frozen=True):
    """Every named signal a rule may ask for, computed once per request.

    quality: backend id -> predicted P(its answer is right), 0..1; no rule's signal; empty where nothing predicts it.
    retrieval_support: how well what was retrieved supports an answer, 0..1; None where nothing was searched.
    prompt_tokens: with what was retrieved.
    """

    difficulty: float
    domain: str
    unfamiliar: bool
    prompt_tokens: int
    turns: int
    tools: bool
    json: bool
    language: str
    key: str
    tenant: str
    metadata: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    quality: Mapping[str, float] = {}
    retrieval_support: float | None = None


class LoggedFeatures(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the rules saw, as the ledger keeps it: metadata and headers only under the names the operator allowed.

    quality: backend id -> predicted P(its answer is right), so that replay compares what was compared.
    """

    difficulty: float
    domain: str
    unfamiliar: bool
    prompt_tokens: int
    turns: int
    tools: bool
    json: bool
    language: str
    metadata: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    quality: Mapping[str, float] = {}
    retrieval_support: float | None = None


class PreviousTurn(msgspec.Struct, frozen=True):
    """Where a conversation stands, for affinity: the tier that answered last and the difficulty it was judged at.

    tokens: what that tier has read and written of the conversation, and so may still hold in its prefix cache.
    """

    tier: str
    difficulty: float
    tokens: int = 0


class Load(msgspec.Struct, frozen=True):
    """What a backend's answers of late, and the line before its tier, foretell. Seconds; None: nothing is measured yet.

    wait_s: until a place is free. first_s, and prefill_s for each prompt token: from there to the first token. token_s:
    for each further token. answer_tokens: usual length of an answer.
    """

    wait_s: float = 0.0
    first_s: float | None = None
    prefill_s: float = 0.0
    token_s: float | None = None
    answer_tokens: float = 0.0


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a paced budget stands. spent and allowed: since the start, so their difference is what may be spent now.

    spare: that difference as a share of the most that is ever held back, 1 at most; at 0 or less the money is gone.
    quality_per_milliusd: what a milli-USD (0.001 USD) must buy for that reason; chosen by the planner.
    """

    spent_microusd: int
    allowed_microusd: int
    spare: float
    quality_per_milliusd: float = 0.0


class Target(msgspec.Struct, frozen=True):
    """One candidate: a backend on a tier."""

    tier: str
    backend: str
    card: ModelCard
    judged: bool  # its answer is judged before commit (a stronger target follows and judging is possible)
    why_not_judged: str = ""


class Panel(msgspec.Struct, frozen=True):
    """Experts that are asked side by side, the most promising first, and how one answer is made of theirs.

    deadline_s: seconds after the first is asked; what has not come by then is left out.
    """

    members: tuple[Target, ...]
    fuse: Fuse
    deadline_s: float
    judge: Target | None = None


class Plan(msgspec.Struct, frozen=True):
    """What will be tried, decided before any model is called.

    targets: in order of escalation. skipped: tier id -> why the planner left it out (capability, context, ...).
    propensity: probability with which the logged policy chose targets[0] (1.0 for deterministic rules).
    chances: tier id -> that probability for every tier that could have stood first; empty for a
        rule that names a tier.
    scores: tier id -> what the rule's strategy compared; empty likewise.
    (of experts: backend id.) pace: where the budget of the rule stood, if it has one.
    panel: the experts that are asked in place of targets[0], the first of them.
    shadow: who is asked too once the client has its answer.
    rule: id of the matched rule; "direct" for a catalogue id, "tier" for headrace/<tier>.
    """

    virtual_model: str
    revision: str
    rule: str
    features: Features
    targets: tuple[Target, ...]
    skipped: Mapping[str, str]
    low_confidence: LowConfidence | None
    on_failure: tuple[FailureRule, ...]
    limits: Limits
    failure_targets: Mapping[str, Target] = {}
    expected_cost_microusd: int = 0
    propensity: float = 1.0
    reason: str = ""
    chances: Mapping[str, float] = {}
    scores: Mapping[str, float] = {}
    pace: Pace | None = None
    panel: Panel | None = None
    shadow: Target | None = None


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try on one backend, finished. Times in seconds from the start of the request; ttft None if no token came."""

    tier: str
    backend: str
    model: str
    outcome: AttemptOutcome
    prompt_tokens: int
    completion_tokens: int
    cost_microusd: int
    started_s: float
    ended_s: float
    ttft_s: float | None = None
    queued_s: float = 0.0
    confidence: float | None = None
    commit_reason: CommitReason | None = None
    why: str = ""
    usage_estimated: bool = False


class Confidence(msgspec.Struct, frozen=True):
    """Answer-side judgement. value: calibrated P(answer is right). enough: may be kept under max_risk.

    final: no further token can change the decision now.
    """

    value: float
    enough: bool
    final: bool
    why: str = ""
