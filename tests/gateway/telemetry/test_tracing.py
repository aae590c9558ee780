import subprocess
import sys

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from headrace.gateway.ledger.record import Outcome, Record, build
from headrace.gateway.telemetry import tracing
from headrace.gateway.telemetry.tracing import open_tracer
from tests.support.records import REQUEST, record


def spans_of(found: Record, traceparent: str | None = None) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracer = open_tracer(None, exporter)
    assert tracer is not None
    tracer.record(found, traceparent)
    tracer.close()
    return list(exporter.get_finished_spans())


def test_without_an_endpoint_there_is_no_tracer_and_no_sdk() -> None:
    assert open_tracer(None) is None
    code = "import sys, headrace.gateway.telemetry.tracing; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_request_is_one_span_with_one_below_it_for_each_attempt() -> None:
    draft, answer, root = spans_of(record())
    assert root.name == "chat headrace/auto"
    assert [span.name for span in (draft, answer)] == ["chat small-model", "chat large-model"]
    for span in (draft, answer):
        assert span.parent is not None
        assert span.parent.span_id == root.context.span_id
    assert root.attributes is not None
    assert root.attributes[tracing.RESPONSE_MODEL] == "large-model"
    assert root.attributes[tracing.OUTPUT_TOKENS] == 101
    assert root.start_time is not None
    assert root.end_time is not None
    assert root.end_time - root.start_time == 2_510_000_128 or abs(root.end_time - root.start_time - 2.51e9) < 1e6


def test_the_callers_trace_goes_on() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    root = spans_of(record(), f"00-{trace}-00f067aa0ba902b7-01")[-1]
    assert f"{root.context.trace_id:032x}" == trace


def test_a_header_that_is_no_trace_starts_a_new_one() -> None:
    for header in ("", "00-xyz", f"00-{'0' * 32}-{'1' * 16}-01", "a" * 10_000):
        assert spans_of(record(), header)[-1].parent is None


def test_a_failed_request_says_so() -> None:
    (root,) = spans_of(build(REQUEST, None, (), Outcome(504, "timeout_error", 0, 0, 1.0)))
    assert not root.status.is_ok
    assert root.attributes is not None
    assert root.attributes[tracing.ERROR_TYPE] == "timeout_error"
