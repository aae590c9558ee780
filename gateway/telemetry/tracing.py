"""OpenTelemetry GenAI spans, made from the ledger record of a finished request and only when an endpoint is set.

Spans are built afterwards with explicit times, so a running request carries no tracing state. The SDK is imported only
when there is somewhere to send to. The conventions are still in development: every name stands in this module.
"""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from headrace.contracts.routing import Attempt
from headrace.gateway.ledger.record import Record

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR_TYPE: Final = "error.type"
OPERATIONS: Final = {"chat": "chat", "completions": "text_completion", "embeddings": "embeddings"}
MAX_QUEUE: Final = 2_048
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracer:
    """Sends one span per request and one per attempt, in batches on the SDK's own thread. Safe to share."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("headrace")

    def record(self, record: Record, traceparent: str | None = None) -> None:
        """Make the spans of one finished request; `traceparent` is the caller's header, if it sent one."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415  (only traced)

        started = datetime.fromisoformat(record.time).timestamp()
        operation = OPERATIONS.get(record.endpoint, record.endpoint)
        root = self._tracer.start_span(
            f"{operation} {record.plan.virtual_model if record.plan else ''}".strip(),
            context=_parent(traceparent),
            kind=SpanKind.SERVER,
            start_time=_nanoseconds(started),
            attributes=_request_attributes(record, operation),
        )
        if record.outcome not in {"ok", "cancelled"}:
            root.set_attribute(ERROR_TYPE, record.outcome)
            root.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(root)
        for attempt in record.attempts:
            span = self._tracer.start_span(
                f"{operation} {attempt.model}",
                context=inside,
                kind=SpanKind.CLIENT,
                start_time=_nanoseconds(started + attempt.started_s),
                attributes=_attempt_attributes(attempt, operation),
            )
            span.end(_nanoseconds(started + attempt.ended_s))
        root.end(_nanoseconds(started + record.total_s))

    def close(self) -> None:
        """Send what is left; blocks for at most a few seconds."""
        self._provider.shutdown()


def open_tracer(endpoint: str | None, exporter: "SpanExporter | None" = None) -> Tracer | None:
    """Return a tracer that sends to an OTLP/HTTP endpoint (`exporter` stands in for it), None without one."""
    if endpoint is None and exporter is None:
        return None
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  (costs start time and memory)
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  (same)
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  (same)

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  (same)

        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    provider = TracerProvider(resource=Resource.create({"service.name": "headrace"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MAX_QUEUE))
    return Tracer(provider)


def _request_attributes(record: Record, operation: str) -> "dict[str, AttributeValue]":
    attributes: dict[str, AttributeValue] = {
        OPERATION: operation,
        PROVIDER: "headrace",
        INPUT_TOKENS: record.prompt_tokens,
        OUTPUT_TOKENS: record.completion_tokens,
        "headrace.decision": record.decision,
        "headrace.config.revision": record.revision,
        "headrace.cost_microusd": record.cost_microusd,
        "headrace.attempts": len(record.attempts),
    }
    if record.plan is not None:
        attributes[REQUEST_MODEL] = record.plan.virtual_model
        attributes["headrace.rule"] = record.plan.rule
    if record.features is not None:
        attributes["headrace.difficulty"] = record.features.difficulty
    answer = record.answer
    if answer is not None:
        attributes[RESPONSE_MODEL] = answer.model
        attributes["headrace.tier"] = answer.tier
    return attributes


def _attempt_attributes(attempt: Attempt, operation: str) -> "dict[str, AttributeValue]":
    return {
        OPERATION: operation,
        PROVIDER: attempt.backend,
        REQUEST_MODEL: attempt.model,
        INPUT_TOKENS: attempt.prompt_tokens,
        OUTPUT_TOKENS: attempt.completion_tokens,
        "headrace.tier": attempt.tier,
        "headrace.attempt.outcome": attempt.outcome,
        "headrace.cost_microusd": attempt.cost_microusd,
    }


def _parent(traceparent: str | None) -> "Context | None":
    """Return the caller's trace as a parent (W3C Trace Context), None for a header that is not one."""
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  (only traced)

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
