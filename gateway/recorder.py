"""What is told about a request: the headers of its answer, and one record to ledger, metrics, log and traces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import HeadraceError
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.routing import Attempt, Plan, PreviousTurn
from headrace.gateway.exchange import Exchange
from headrace.gateway.grounding.grounding import Grounding
from headrace.gateway.ledger.record import Allowed, Outcome, Record, Request, build
from headrace.gateway.responses import refusal
from headrace.gateway.revisions import Revision
from headrace.gateway.settings.tree import Settings
from headrace.gateway.streaming import Dialect
from headrace.router.cascade.answer import Answer

LEFT_STATUS: Final = 499
_SHOWN: Final = frozenset({"committed", "broken"})


@dataclass(slots=True)
class Story:
    """One request as it unfolds. Used by one task; read once, at the end."""

    exchange: Exchange
    revision: Revision
    call: ChatCall
    dialect: Dialect
    plan: Plan
    wall_s: float
    grounding: Grounding | None = None
    trail: list[Attempt] = field(default_factory=list)
    answer: Answer | None = None
    error: HeadraceError | None = None
    client_left: bool = False
    committed_s: float | None = None

    @property
    def answer_id(self) -> str:
        """The id of the answer, as its dialect writes it."""
        return f"{self.dialect.id_prefix}-{self.exchange.id_hex}"

    @property
    def decision_id(self) -> str:
        """The id under which the record is found."""
        return f"dec_{self.exchange.id_hex}"

    @property
    def cost_microusd(self) -> int:
        """What every attempt has cost."""
        return sum(attempt.cost_microusd for attempt in self.trail)

    def turn(self, tier: str) -> PreviousTurn:
        """Return where the conversation stands after this answer."""
        tokens = 0
        for attempt in self.trail:
            if attempt.outcome in _SHOWN:
                tokens = attempt.prompt_tokens + attempt.completion_tokens
        return PreviousTurn(tier, self.plan.features.difficulty, tokens)

    def commit(self, answer: Answer, now: float) -> None:
        """Note the answer that goes to the client."""
        self.answer = answer
        self.committed_s = now - self.exchange.started

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the explanation of the decision; the cost only where it is final."""
        lines = [
            (b"x-headrace-decision", self.decision_id.encode()),
            (b"x-headrace-rule", _line(self.plan.rule)),
            (b"x-headrace-difficulty", b"%.3f" % self.plan.features.difficulty),
        ]
        if self.answer is None:
            return lines
        target = self.answer.target
        flows = self.call.stream and not any(one.outcome in _SHOWN for one in self.trail)  # its attempt is still open
        attempts = len(self.trail) + flows
        lines += (
            (b"x-headrace-tier", _line(target.tier)),
            (b"x-headrace-model", _line(target.card.id)),
            (b"x-headrace-attempts", str(attempts).encode()),
        )
        if self.answer.confidence is not None:
            lines.append((b"x-headrace-confidence", b"%.3f" % self.answer.confidence))
        if not flows:
            lines.append((b"x-headrace-cost-usd", f"{self.cost_microusd / 1_000_000:.6f}".encode()))
        return lines


class RecordSink(Protocol):
    """Takes finished records: the ledger."""

    def record(self, record: Record) -> bytes:
        """Queue it."""
        ...


class MetricSink(Protocol):
    """Counts finished records: the metrics."""

    def observe(self, record: Record) -> None:
        """Count it."""
        ...


class LogSink(Protocol):
    """Logs finished records: the request log."""

    def request(self, record: Record) -> None:
        """Log it."""
        ...


class TraceSink(Protocol):
    """Makes spans of finished records."""

    def record(self, record: Record, traceparent: str | None = None) -> None:
        """Make them."""
        ...


@dataclass(frozen=True, slots=True)
class Recorder:
    """Hands one record of each finished request to everything that wants one. Never waits."""

    ledger: RecordSink
    metrics: MetricSink
    log: LogSink
    tracer: TraceSink | None
    artefacts: Mapping[str, str]
    clock: Callable[[], float]

    def record(self, story: Story) -> None:
        """Record a finished request."""
        story.exchange.recorded = True
        settings = story.revision.settings
        record = build(
            self._request(story),
            story.plan,
            story.trail,
            self._outcome(story),
            strongest=_strongest(story),
            allowed=Allowed(settings.ledger.headers, settings.ledger.metadata),
            retrieval=None if story.grounding is None else story.grounding.record(),
        )
        self._hand_on(record, story.exchange)

    def record_embedding(
        self, exchange: Exchange, settings: Settings, *, asked: str, card: ModelCard, prompt_tokens: int, wall_s: float
    ) -> None:
        """Record an embedding that was answered: one attempt, no plan."""
        exchange.recorded = True
        total_s = self.clock() - exchange.started
        attempt = Attempt(
            tier="",
            backend=card.id,
            model=card.id,
            outcome="committed",
            prompt_tokens=prompt_tokens,
            completion_tokens=0,
            cost_microusd=card.price.cost_microusd(prompt_tokens, 0),
            started_s=0.0,
            ended_s=total_s,
        )
        request = Request(
            decision_id=f"dec_{exchange.id_hex}",
            request_id=exchange.request_id,
            principal=exchange.principal,
            endpoint="embeddings",
            stream=False,
            model=asked,
            started=wall_s,
            revision=settings.revision,
            artefacts={},
        )
        outcome = Outcome(200, "ok", prompt_tokens, 0, total_s)
        self._hand_on(build(request, None, (attempt,), outcome), exchange)

    def _hand_on(self, record: Record, exchange: Exchange) -> None:
        self.ledger.record(record)
        self.metrics.observe(record)
        self.log.request(record)
        if self.tracer is not None:
            parent = exchange.header(b"traceparent")
            self.tracer.record(record, None if parent is None else parent.decode("latin-1"))

    def _request(self, story: Story) -> Request:
        return Request(
            decision_id=story.decision_id,
            request_id=story.exchange.request_id,
            principal=story.exchange.principal,
            endpoint=story.dialect.endpoint,
            stream=story.call.stream,
            model=story.call.model,
            started=story.wall_s,
            revision=story.plan.revision,
            artefacts=self.artefacts,
        )

    def _outcome(self, story: Story) -> Outcome:
        shown = next((attempt for attempt in story.trail if attempt.outcome in _SHOWN), None)
        status, word = _ending(story)
        first_s = None if shown is None else shown.ttft_s
        if first_s is not None and story.committed_s is not None:
            first_s = max(first_s, story.committed_s)
        return Outcome(
            status=status,
            word=word,
            prompt_tokens=0 if shown is None else shown.prompt_tokens,
            completion_tokens=0 if shown is None else shown.completion_tokens,
            total_s=self.clock() - story.exchange.started,
            ttft_s=first_s,
        )


def _ending(story: Story) -> tuple[int, str]:
    if story.client_left:
        return LEFT_STATUS, "cancelled"
    if story.error is not None:
        shown = refusal(story.error)
        return (200 if story.exchange.streams else shown.status), shown.code or shown.type
    return (200, "ok") if story.exchange.finished else (500, "internal_error")


def _strongest(story: Story) -> Price | None:
    policy = story.revision.policy
    card = policy.cards.get(policy.tiers[-1].default)
    return None if card is None else card.price


def _line(text: str) -> bytes:
    """Return a header value: printable ASCII only, whatever the config's names hold."""
    return text.encode("ascii", "replace")
