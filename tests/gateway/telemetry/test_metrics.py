import timeit

import msgspec

from headrace.contracts.routing import Attempt
from headrace.gateway.ledger.record import Outcome, RetrievalRecord, build
from headrace.gateway.telemetry.metrics import Metrics
from tests.support.records import ANSWER, DRAFT, OUTCOME, PLAN, REQUEST, record


def text_of(metrics: Metrics) -> str:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return body.decode()


def test_one_record_counts_everything_once() -> None:
    metrics = Metrics()
    metrics.observe(record())
    text = text_of(metrics)
    for line in (
        'headrace_requests_total{endpoint="chat",outcome="ok",status="200"} 1.0',
        'headrace_rules_total{rule="default",virtual_model="headrace/auto"} 1.0',
        'headrace_attempts_total{model="small-model",outcome="rejected",tier="small"} 1.0',
        'headrace_escalations_total{cause="rejected",model="small-model",tier="small"} 1.0',
        'headrace_commits_total{model="large-model",reason="last_tier",tier="large"} 1.0',
        'headrace_wasted_tokens_total{model="small-model",tier="small"} 32.0',
        'headrace_completion_tokens_total{model="large-model",tier="large"} 101.0',
        'headrace_prompt_tokens_total{model="large-model",tier="large"} 12.0',
        'headrace_cost_microusd_total{model="large-model",tier="large"} 214.0',
        "headrace_always_large_microusd_total 214.0",
        'headrace_ttft_seconds_count{model="large-model",tier="large"} 1.0',
        'headrace_inter_token_seconds_sum{model="large-model",tier="large"} 0.02',
        'headrace_queue_wait_seconds_count{tier="large"} 1.0',
        'headrace_request_seconds_count{endpoint="chat",stream="yes"} 1.0',
    ):
        assert line in text


def test_shadows_and_outvoted_experts_are_counted_apart() -> None:
    metrics = Metrics()
    outvoted = msgspec.structs.replace(DRAFT, outcome="outvoted")
    metrics.observe(build(REQUEST, PLAN, (outvoted, ANSWER), Outcome(200, "ok", 1, 1, 1.0)))
    metrics.shadowed("headrace/auto", "large", "ok", 214)
    metrics.shadowed("headrace/auto", "large", "dropped")
    text = text_of(metrics)
    for line in (
        'headrace_wasted_tokens_total{model="small-model",tier="small"} 32.0',
        'headrace_shadow_requests_total{outcome="ok",tier="large",virtual_model="headrace/auto"} 1.0',
        'headrace_shadow_requests_total{outcome="dropped",tier="large",virtual_model="headrace/auto"} 1.0',
        'headrace_shadow_cost_microusd_total{tier="large"} 214.0',
    ):
        assert line in text
    assert "headrace_escalations_total{" not in text


def test_metrics_agree_with_the_record_they_were_made_from() -> None:
    metrics, found = Metrics(), record()
    metrics.observe(found)
    costs = [line for line in text_of(metrics).splitlines() if line.startswith("headrace_cost_microusd_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in costs) == found.cost_microusd


def test_a_refusal_without_a_plan_is_counted() -> None:
    metrics = Metrics()
    metrics.observe(build(REQUEST, None, (), Outcome(404, "model_not_found", 0, 0, 0.001)))
    metrics.refused("chat", 401)
    metrics.refused("/../etc", 404)
    text = text_of(metrics)
    assert 'headrace_requests_total{endpoint="chat",outcome="error",status="404"} 1.0' in text
    assert 'headrace_requests_total{endpoint="chat",outcome="error",status="401"} 1.0' in text
    assert 'endpoint="other"' in text
    assert "etc" not in text


def test_nothing_a_caller_sends_becomes_a_label() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.observe(record(f"dec_{number}", DRAFT, ANSWER, tenant=f"tenant{number}"))
    first = len(text_of(metrics).splitlines())
    for number in range(50, 100):
        metrics.observe(record(f"dec_{number}", DRAFT, ANSWER, tenant=f"tenant{number}"))
    assert len(text_of(metrics).splitlines()) == first
    assert "tenant" not in text_of(metrics)


def test_only_the_revision_in_force_is_shown() -> None:
    metrics = Metrics()
    metrics.config_loaded("one")
    metrics.config_loaded("two")
    metrics.reloaded("ok")
    metrics.reloaded("failed")
    text = text_of(metrics)
    assert 'headrace_config_info{revision="two"} 1.0' in text
    assert 'revision="one"' not in text
    assert 'headrace_config_reloads_total{outcome="failed"} 1.0' in text


class Lines:
    """Two tiers with something in them."""

    def tiers(self) -> tuple[str, ...]:
        return ("small", "large")

    def running(self, tier: str) -> int:
        return {"small": 3, "large": 1}[tier]

    def queued(self, tier: str) -> int:
        return {"small": 2, "large": 0}[tier]


def test_queues_backends_and_engines_are_read_when_scraped() -> None:
    metrics, up, state = Metrics(), {"a": True}, {"a": "starting"}
    metrics.watch_admission(Lines())
    metrics.watch_backends(lambda: up)
    metrics.watch_engines(lambda: state)
    assert 'headrace_queued{tier="small"} 2.0' in text_of(metrics)
    assert 'headrace_running{tier="large"} 1.0' in text_of(metrics)
    assert 'headrace_backend_up{backend="a"} 1.0' in text_of(metrics)
    up["a"], state["a"] = False, "ready"
    assert 'headrace_backend_up{backend="a"} 0.0' in text_of(metrics)
    assert 'headrace_engine_state{engine="a",state="ready"} 1.0' in text_of(metrics)


def test_what_kernels_served_and_refused_is_read_when_scraped() -> None:
    metrics = Metrics()
    refusals = {("small", "sparse_prefill", "short-context"): 2}
    metrics.watch_kernels(lambda: refusals, lambda: {("small", "fused_experts"): 7})
    refusals["small", "sparse_prefill", "short-context"] = 3
    page = text_of(metrics)
    labels = 'backend="small",op="sparse_prefill",reason="short-context"'
    assert f"headrace_kernel_refusals_total{{{labels}}} 3.0" in page
    assert 'headrace_kernel_calls_total{backend="small",hook="fused_experts"} 7.0' in page


def test_lost_ledger_records_are_counted() -> None:
    metrics = Metrics()
    metrics.ledger_dropped(3)
    assert "headrace_ledger_dropped_records_total 3.0" in text_of(metrics)


def test_one_token_has_no_time_between_tokens() -> None:
    metrics = Metrics()
    one = Attempt("small", "s", "small-model", "committed", 1, 1, 1, 0.0, 1.0, ttft_s=0.5)
    metrics.observe(record("dec_1", one))
    assert 'headrace_inter_token_seconds_count{model="small-model"' not in text_of(metrics)


def test_observing_costs_little() -> None:
    metrics, found = Metrics(), build(REQUEST, PLAN, (ANSWER,), Outcome(200, "ok", 12, 101, 2.5, 0.5))
    best = min(timeit.repeat(lambda: metrics.observe(found), number=200, repeat=5)) / 200
    assert best < 400e-6, f"{best * 1e6:.0f} us: about 20 are expected, 400 allow for a busy machine"


def test_searches_and_what_came_of_them_are_counted() -> None:
    metrics = Metrics()
    metrics.searched("ok", 0.02)
    metrics.searched("failed", 0.5)
    found = RetrievalRecord(
        ("vs_1",),
        "auto",
        searches=1,
        hits=5,
        passages=3,
        support=0.8,
        cited=2,
        dropped=1,
        probe_s=0.01,
        context_s=0.002,
    )
    asked = msgspec.structs.replace(ANSWER, outcome="searched")
    metrics.observe(build(REQUEST, PLAN, (asked, ANSWER), OUTCOME, retrieval=found))
    text = text_of(metrics)
    assert 'headrace_retrieval_searches_total{outcome="failed"} 1.0' in text
    assert 'headrace_retrieval_seconds_count{stage="search"} 2.0' in text
    assert 'headrace_retrieval_seconds_count{stage="probe"} 1.0' in text
    assert 'stage="cite"' not in text
    assert "headrace_retrieval_passages_total 3.0" in text
    assert 'headrace_retrieval_support_bucket{le="0.8"} 1.0' in text
    assert 'headrace_citations_total{outcome="kept"} 2.0' in text
    assert 'headrace_citations_total{outcome="dropped"} 1.0' in text
    assert 'headrace_wasted_tokens_total{model="large-model",tier="large"} 101.0' in text


def test_files_and_stores_are_counted_and_what_is_ingested_is_shown_when_scraped() -> None:
    metrics = Metrics()
    waiting = [3]
    metrics.watch_intake(lambda: 1, lambda: waiting[0])
    metrics.answered("files", 0.02)
    metrics.answered("made-up", 0.02)
    metrics.ingested("completed")
    waiting[0] = 2
    page = metrics.render()[0].decode()
    for line in (
        'headrace_requests_total{endpoint="files",outcome="ok",status="200"} 1.0',
        'headrace_requests_total{endpoint="other",outcome="ok",status="200"} 1.0',
        'headrace_ingested_files_total{outcome="completed"} 1.0',
        "headrace_ingest_running 1.0",
        "headrace_ingest_unfinished 2.0",
    ):
        assert line in page
