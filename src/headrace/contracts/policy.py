"""A routing policy as data: what the operator's YAML means once it is validated. Pure, frozen, shareable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.contracts.models import ModelCard

Signal = Literal[
    "difficulty", "domain", "unfamiliar", "prompt_tokens", "turns", "tools", "json", "language", "retrieval_support",
    "metadata", "header", "key", "tenant",
]  # fmt: skip
Operator = Literal["eq", "in", "gt", "gte", "lt", "lte", "present"]
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """`signal op value`; `name` is the key inside metadata or the header's lower-case name."""

    signal: Signal
    op: Operator
    value: Scalar | tuple[Scalar, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"


Condition = Comparison | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Weighted:
    """Split requests at random: tier id -> its share; shares are 0 or more and sum to 1."""

    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Canary:
    """Send a share of the requests, over 0 and under 1, to the tier `to` and the rest to `use`."""

    use: str
    to: str
    share: float


@dataclass(frozen=True, slots=True)
class Epsilon:
    """Send requests to the tier `use`, but with probability `epsilon` to any able tier, each as likely."""

    use: str
    epsilon: float


@dataclass(frozen=True, slots=True)
class QualityAtCost:
    """Choose the tier with the most predicted quality minus cost; quality is 0..1, cost is in milli-USD (0.001 USD).

    quality_per_milliusd: the quality that a milli-USD must buy, written `lambda` in a config.
    """

    quality_per_milliusd: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Choose the strongest tier, from `use` downwards, that is predicted to answer within `deadline_s` seconds.

    measure: what must come in time, the first token or the whole answer. A request that is not streamed has both at
    once, so the whole answer counts.
    """

    use: str
    deadline_s: float
    measure: Literal["ttft", "total"] = "ttft"


@dataclass(frozen=True, slots=True)
class BudgetPacing:
    """Spend at most `microusd` in any `window_s` seconds, or in any 1,000 requests where `window_s` is None.

    use: the tier while there is money; otherwise: the cheaper one. In between a question goes to `use` when its gain in
    predicted quality is worth more than its cost, at a price of money that rises as the money runs short.
    """

    use: str
    otherwise: str
    microusd: int
    window_s: float | None = None


Fuse = Literal["vote", "best_confidence", "judge"]


@dataclass(frozen=True, slots=True)
class Experts:
    """Ask the `top_k` most promising backends side by side, and make one answer of theirs. 1: ask the best alone.

    fuse: the answer most of them agree on, the one most surely right, or the one that a model of the tier `judge`
    picks. backends: who may be asked, empty for all of every tier. quality_per_milliusd: the quality that a milli-USD
    must buy, by which they are ranked. deadline_s: what has not come by then is left out.
    """

    top_k: int
    fuse: Fuse = "vote"
    backends: tuple[str, ...] = ()
    judge: str = ""
    quality_per_milliusd: float = 0.0
    deadline_s: float = 30.0


OneTier = Weighted | Canary | Epsilon | QualityAtCost | Latency | BudgetPacing
Strategy = OneTier | Experts
Use = str | Strategy


@dataclass(frozen=True, slots=True)
class Rule:
    """First match wins; `when` None is the mandatory default and stands last. `use` is a tier id or a strategy.

    judged: whether `on_low_confidence` holds for it; else its tier's answer is kept as it comes.
    """

    id: str
    when: Condition | None
    use: Use
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Probe:
    """The streaming commit point: judge within `tokens` tokens or `s` seconds after the first token."""

    tokens: int = 32
    s: float = 1.5
    on_uncertain: Literal["escalate", "commit"] = "escalate"


@dataclass(frozen=True, slots=True)
class LowConfidence:
    """What to do with an answer that is not good enough. `max_risk` is the calibrated P(wrong and kept)."""

    probe: Probe
    max_risk: float
    then: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What to do when an attempt breaks: `retries` on the same tier, then the tiers of `then` in order.

    errors: BackendError kinds ("timeout", "http_429", "unavailable", "protocol", ...) or "any".
    """

    id: str
    errors: tuple[str, ...]
    retries: int = 0
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds over the whole chain of one request."""

    max_attempts: int = 3
    deadline_s: float = 60.0
    max_cost_microusd: int | None = None


@dataclass(frozen=True, slots=True)
class Affinity:
    """Keep a conversation on its tier unless difficulty moved by more than `switch_margin`."""

    key: Literal["conversation", "user", "none"] = "none"
    switch_margin: float = 0.1


@dataclass(frozen=True, slots=True)
class Shadow:
    """Ask the tier `to` too, for a share of the conversations, once the client has its answer; nobody waits for it.

    max_in_flight: how many may run at once; a further one is dropped.
    """

    to: str
    share: float
    max_in_flight: int = 4


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Answer from documents: the collections of one tenant, and how they are searched.

    tenant: who owns the collections; every caller of the virtual model is answered from them. min_score: passages under
    it are left out. when: for each request, when the model asks for it, or when it is likely to help.
    when_unsupported: what becomes of a question with less `retrieval_support` than min_support, or with no passage at
    all. on_error: what becomes of it when the search fails. max_searches: that a model may ask for in one request.
    """

    collections: tuple[str, ...]
    tenant: str = "default"
    k: int = 5
    min_score: float = 0.0
    when: Literal["always", "model", "auto"] = "always"
    when_unsupported: Literal["answer", "refuse", "escalate"] = "answer"
    min_support: float = 0.3
    on_error: Literal["fail", "answer"] = "fail"
    max_searches: int = 3
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """A name clients use; it never changes for them."""

    name: str
    select: tuple[Rule, ...]
    on_low_confidence: LowConfidence | None = None
    on_failure: tuple[FailureRule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    affinity: Affinity = field(default_factory=Affinity)
    shadow: Shadow | None = None
    retrieve: Retrieve | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """Backends of one price level. `specialists` maps a domain to a backend id; else `default` answers."""

    id: str
    default: str
    specialists: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 16
    queue: int = 64

    def backend_ids(self) -> tuple[str, ...]:
        """Every backend of the tier, default first, without repeats."""
        return tuple(dict.fromkeys((self.default, *self.specialists.values())))


@dataclass(frozen=True, slots=True)
class Policy:
    """The immutable object that a request is pinned to.

    revision: short hash of the source text. tiers: cheapest first. cards: backend id -> what it can do.
    aliases: client's name -> virtual model, `headrace/<tier>` or catalogue id.
    """

    revision: str
    tiers: tuple[Tier, ...]
    virtual_models: Mapping[str, VirtualModel]
    cards: Mapping[str, ModelCard]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def tier(self, tier_id: str) -> Tier:
        """Return the tier, KeyError if there is none."""
        for tier in self.tiers:
            if tier.id == tier_id:
                return tier
        raise KeyError(tier_id)
