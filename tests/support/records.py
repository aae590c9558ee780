"""Plans, attempts and ledger records for tests of what records them."""

from decimal import Decimal

from msgspec.structs import replace

from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import Limits
from headrace.contracts.principal import Principal
from headrace.contracts.routing import Attempt, Features, Plan, Target
from headrace.gateway.ledger.record import Allowed, Outcome, Record, Request, build

SMALL = ModelCard("small-model", 8192, frozenset({"stream"}), Price(Decimal("0.01"), Decimal("0.02")))
LARGE = ModelCard("large-model", 8192, frozenset({"stream"}), Price(Decimal("1.00"), Decimal("2.00")))
FEATURES = Features(
    difficulty=0.123456789,
    domain="code",
    unfamiliar=False,
    prompt_tokens=12,
    turns=1,
    tools=False,
    json=False,
    language="en",
    key="alice",
    tenant="research",
    metadata={"team": "a", "secret": "m"},
    headers={"x-team": "b", "cookie": "c"},
)
PLAN = Plan(
    virtual_model="headrace/auto",
    revision="r1",
    rule="default",
    features=FEATURES,
    targets=(
        Target("small", "s", SMALL, judged=True),
        Target("large", "l", LARGE, judged=False, why_not_judged="last"),
    ),
    skipped={},
    low_confidence=None,
    on_failure=(),
    limits=Limits(),
    expected_cost_microusd=7,
)
DRAFT = Attempt(
    tier="small",
    backend="s",
    model="small-model",
    outcome="rejected",
    prompt_tokens=12,
    completion_tokens=32,
    cost_microusd=1,
    started_s=0.001,
    ended_s=0.4,
    ttft_s=0.1,
    confidence=0.3,
    why="not sure",
)
ANSWER = Attempt(
    tier="large",
    backend="l",
    model="large-model",
    outcome="committed",
    prompt_tokens=12,
    completion_tokens=101,
    cost_microusd=214,
    started_s=0.4,
    ended_s=2.5,
    ttft_s=0.5,
    queued_s=0.02,
    commit_reason="last_tier",
)
REQUEST = Request(
    decision_id="dec_" + "0" * 32,
    request_id="req_" + "1" * 32,
    principal=Principal("alice", "research"),
    endpoint="chat",
    stream=True,
    model="headrace/auto",
    started=1_790_000_000.0,
    revision="r1",
    artefacts={"difficulty": "d1", "calibration": "c1"},
)
OUTCOME = Outcome(status=200, word="ok", prompt_tokens=12, completion_tokens=101, total_s=2.51, ttft_s=0.5)


def record(decision_id: str = REQUEST.decision_id, *attempts: Attempt, tenant: str = "research") -> Record:
    request = replace(REQUEST, decision_id=decision_id, principal=Principal("alice", tenant))
    allowed = Allowed(headers=("x-team",), metadata=("team", "absent"))
    return build(request, PLAN, attempts or (DRAFT, ANSWER), OUTCOME, strongest=LARGE.price, allowed=allowed)
