"""Prometheus metrics of the gateway, in a registry of its own. Label values come from the config, never from callers.

A finished request is observed once, from its ledger record; nothing is counted per chunk. Inter-token time is therefore
the mean of each answer (generation time over tokens after the first), one observation an answer.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.contracts.routing import Attempt
from headrace.gateway.ledger.record import Record, RetrievalRecord
from headrace.gateway.telemetry.tables import Counters, Histograms

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TOKEN_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ENDPOINTS: Final = frozenset(
    {"chat", "completions", "embeddings", "models", "explain", "decisions", "feedback", "files", "vector_stores"}
)
OUTCOMES: Final = frozenset({"ok", "cancelled"})


class Lines(Protocol):
    """What the queue gauges read; TierAdmission is one."""

    def tiers(self) -> Iterable[str]:
        """Return the bounded tiers."""
        ...

    def running(self, tier: str) -> int:
        """Return how many places are held."""
        ...

    def queued(self, tier: str) -> int:
        """Return how many wait."""
        ...


class Metrics:
    """Counts and times everything. For one event loop, except `ledger_dropped`, which any thread may call."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Finished requests.", "endpoint", "status", "outcome")
        self._durations = self._histogram("request_seconds", "Whole time of a request.", SECONDS, "endpoint", "stream")
        self._first = self._histogram(
            "ttft_seconds", "Time to the first token the client got.", SECONDS, "tier", "model"
        )
        self._gaps = self._histogram(
            "inter_token_seconds", "Mean time between tokens of one answer.", TOKEN_SECONDS, "tier", "model"
        )
        self._prompt = self._counter("prompt_tokens", "Prompt tokens of attempts.", "tier", "model")
        self._generated = self._counter("completion_tokens", "Generated tokens of attempts.", "tier", "model")
        self._wasted = self._counter("wasted_tokens", "Draft tokens no client saw.", "tier", "model")
        self._cost = self._counter("cost_microusd", "Cost of attempts in micro-USD.", "tier", "model")
        self._large = self._counter(
            "always_large_microusd", "Expected cost had the strongest tier answered everything."
        )
        self._rules = self._counter("rules", "Requests by the rule that matched.", "virtual_model", "rule")
        self._attempts = self._counter("attempts", "Attempts by outcome.", "tier", "model", "outcome")
        self._escalations = self._counter("escalations", "Attempts that handed over.", "tier", "model", "cause")
        self._commits = self._counter("commits", "Committed answers by what decided.", "tier", "model", "reason")
        self._waits = self._histogram("queue_wait_seconds", "Time in line for a tier.", SECONDS, "tier")
        self._shadows = self._counter(
            "shadow_requests", "Mirrored requests by what became of them.", "virtual_model", "tier", "outcome"
        )
        self._shadow_cost = self._counter("shadow_cost_microusd", "Cost of mirrored requests in micro-USD.", "tier")
        self._drops = Counter(
            "headrace_ledger_dropped_records", "Ledger records that were lost.", registry=self._registry
        )
        self._searches = self._counter("retrieval_searches", "Searches of documents by what came of them.", "outcome")
        self._search_times = self._histogram("retrieval_seconds", "Time for each stage of grounding.", SECONDS, "stage")
        self._support = self._histogram("retrieval_support", "How well documents supported an answer.", SHARES)
        self._passages = self._counter("retrieval_passages", "Passages that models were shown.")
        self._citations = self._counter("citations", "Citations in answers by whether they held.", "outcome")
        self._ingested = self._counter("ingested_files", "Files by what became of their ingest.", "outcome")
        self._reloads = self._counter("config_reloads", "Reloads by outcome.", "outcome")
        self._revision = Gauge(
            "headrace_config_info", "The config in force.", labelnames=("revision",), registry=self._registry
        )

    def observe(self, record: Record) -> None:
        """Count one finished request."""
        endpoint = record.endpoint if record.endpoint in ENDPOINTS else "other"
        outcome = record.outcome if record.outcome in OUTCOMES else "error"
        self._requests.add(1, endpoint, str(record.status), outcome)
        self._durations.add(record.total_s, endpoint, "yes" if record.stream else "no")
        if record.plan is not None:
            self._rules.add(1, record.plan.virtual_model, record.plan.rule)
        if record.always_large_microusd:
            self._large.add(record.always_large_microusd)
        for attempt in record.attempts:
            self._observe_attempt(attempt)
        if record.retrieval is not None:
            self._observe_retrieval(record.retrieval)
        answer = record.answer
        if answer is not None and record.ttft_s is not None:
            self._first.add(record.ttft_s, answer.tier, answer.model)

    def refused(self, endpoint: str, status: int) -> None:
        """Count a request that was refused before it had a record."""
        self._requests.add(1, endpoint if endpoint in ENDPOINTS else "other", str(status), "error")

    def answered(self, endpoint: str, seconds: float) -> None:
        """Count an answer that has no record: of files and vector stores."""
        self._requests.add(1, endpoint if endpoint in ENDPOINTS else "other", "200", "ok")
        self._durations.add(seconds, endpoint if endpoint in ENDPOINTS else "other", "no")

    def ingested(self, outcome: str) -> None:
        """Count a file: "completed", "dropped", the code of its error, or what stopped the work."""
        self._ingested.add(1, outcome)

    def watch_intake(self, running: Callable[[], int], unfinished: Callable[[], int]) -> None:
        """Show how many files are being ingested and how many are not done, read when scraped."""

        def collect() -> Iterable[Metric]:
            under_way = GaugeMetricFamily("headrace_ingest_running", "Files that are being ingested.", running())
            waiting = GaugeMetricFamily("headrace_ingest_unfinished", "Files that are not ingested yet.", unfinished())
            return under_way, waiting

        self._registry.register(_Scraped(collect))

    def shadowed(self, virtual_model: str, tier: str, outcome: str, cost_microusd: int = 0) -> None:
        """Count a mirrored request: "ok", "dropped", "cancelled", or the kind of error."""
        self._shadows.add(1, virtual_model, tier, outcome)
        self._shadow_cost.add(cost_microusd, tier)

    def searched(self, outcome: str, seconds: float) -> None:
        """Count a search of documents: "ok", "empty" or "failed"."""
        self._searches.add(1, outcome)
        self._search_times.add(seconds, "search")

    def config_loaded(self, revision: str) -> None:
        """Show the revision in force, and only that one."""
        self._revision.clear()
        self._revision.labels(revision).set(1)

    def reloaded(self, outcome: str) -> None:
        """Count a reload: "ok", "failed" or "unchanged"."""
        self._reloads.add(1, outcome)

    def ledger_dropped(self, records: int) -> None:
        """Count lost ledger records."""
        self._drops.inc(records)

    def watch_admission(self, lines: Lines) -> None:
        """Show what runs and waits on each tier, read when scraped."""

        def collect() -> Iterable[Metric]:
            running = GaugeMetricFamily("headrace_running", "Places held on a tier.", labels=("tier",))
            queued = GaugeMetricFamily("headrace_queued", "Requests in line for a tier.", labels=("tier",))
            for tier in lines.tiers():
                running.add_metric((tier,), lines.running(tier))
                queued.add_metric((tier,), lines.queued(tier))
            return running, queued

        self._registry.register(_Scraped(collect))

    def watch_backends(self, live: Callable[[], Mapping[str, bool]]) -> None:
        """Show which backends take requests, read when scraped."""

        def collect() -> Iterable[Metric]:
            up = GaugeMetricFamily("headrace_backend_up", "1 while a backend takes requests.", labels=("backend",))
            for backend, is_live in live().items():
                up.add_metric((backend,), int(is_live))
            return (up,)

        self._registry.register(_Scraped(collect))

    def watch_engines(self, states: Callable[[], Mapping[str, str]]) -> None:
        """Show the state of each engine and worker, one of a fixed set of words, read when scraped."""

        def collect() -> Iterable[Metric]:
            state = GaugeMetricFamily("headrace_engine_state", "1 for the state it is in.", labels=("engine", "state"))
            for engine, word in states().items():
                state.add_metric((engine, word), 1)
            return (state,)

        self._registry.register(_Scraped(collect))

    def watch_kernels(
        self,
        refusals: Callable[[], Mapping[tuple[str, str, str], int]],
        served: Callable[[], Mapping[tuple[str, str], int]],
    ) -> None:
        """Show what headrace's kernels in the engines served and refused, read when scraped."""

        def collect() -> Iterable[Metric]:
            refused = CounterMetricFamily(
                "headrace_kernel_refusals", "Calls left to vLLM, by reason.", labels=("backend", "op", "reason")
            )
            calls = CounterMetricFamily(
                "headrace_kernel_calls", "Calls that headrace's kernels served.", labels=("backend", "hook")
            )
            for labels, count in refusals().items():
                refused.add_metric(labels, count)
            for names, count in served().items():
                calls.add_metric(names, count)
            return refused, calls

        self._registry.register(_Scraped(collect))

    def render(self) -> tuple[bytes, str]:
        """Return the text for GET /metrics and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _observe_attempt(self, attempt: Attempt) -> None:
        tier, model = attempt.tier, attempt.model
        self._attempts.add(1, tier, model, attempt.outcome)
        self._prompt.add(attempt.prompt_tokens, tier, model)
        self._generated.add(attempt.completion_tokens, tier, model)
        self._cost.add(attempt.cost_microusd, tier, model)
        self._waits.add(attempt.queued_s, tier)
        if attempt.outcome in {"outvoted", "consulted", "searched"}:
            self._wasted.add(attempt.completion_tokens, tier, model)
        elif attempt.outcome in {"rejected", "failed"}:
            self._wasted.add(attempt.completion_tokens, tier, model)
            self._escalations.add(1, tier, model, attempt.outcome)
        elif attempt.outcome == "committed":
            self._commits.add(1, tier, model, attempt.commit_reason or "whole")
        if attempt.ttft_s is not None and attempt.completion_tokens > 1:
            generating_s = attempt.ended_s - attempt.ttft_s  # both count from the start of the request
            self._gaps.add(generating_s / (attempt.completion_tokens - 1), tier, model)

    def _observe_retrieval(self, found: RetrievalRecord) -> None:
        for stage, seconds in (("probe", found.probe_s), ("context", found.context_s), ("cite", found.cite_s)):
            if seconds:
                self._search_times.add(seconds, stage)
        if found.support is not None:
            self._support.add(found.support)
        self._passages.add(found.passages)
        self._citations.add(found.cited, "kept")
        self._citations.add(found.dropped, "dropped")

    def _counter(self, name: str, text: str, *labels: str) -> Counters:
        counters = Counters(f"headrace_{name}", text, labels)
        self._registry.register(counters)
        return counters

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histograms:
        histograms = Histograms(f"headrace_{name}", text, labels, bounds=bounds)
        self._registry.register(histograms)
        return histograms


class _Scraped(Collector):
    """Metrics that are read when somebody looks."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()
