from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.registry import Collector

from headrace.gateway.telemetry.tables import Counters, Histograms


def text_of(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_counters_add_up_by_label_values() -> None:
    counters = Counters("x", "text", ("a", "b"))
    counters.add(1, "one", "two")
    counters.add(2.5, "one", "two")
    counters.add(1, "one", "three")
    assert 'x_total{a="one",b="two"} 3.5' in text_of(counters)
    assert 'x_total{a="one",b="three"} 1.0' in text_of(counters)


def test_a_counter_without_labels_starts_at_zero() -> None:
    assert "x_total 0.0" in text_of(Counters("x", "text", ()))


def test_label_sets_past_the_bound_share_one() -> None:
    counters = Counters("x", "text", ("a",), limit=2)
    histograms = Histograms("y", "text", ("a",), bounds=(1.0,), limit=2)
    for name in ("one", "two", "three", "four", "four"):
        counters.add(1, name)
        histograms.add(0.5, name)
    assert 'x_total{a="other"} 3.0' in text_of(counters)
    assert 'y_count{a="other"} 3.0' in text_of(histograms)
    assert "three" not in text_of(counters) + text_of(histograms)


@given(st.lists(st.floats(min_value=0, max_value=100, allow_nan=False), min_size=1, max_size=30))
def test_histograms_say_what_prometheus_own_would(values: list[float]) -> None:
    registry, bounds = CollectorRegistry(), (0.1, 1.0, 2.5, 10.0)
    reference = Histogram("y", "text", labelnames=("a",), buckets=bounds, registry=registry)
    histograms = Histograms("y", "text", ("a",), bounds=bounds)
    for value in values:
        reference.labels("one").observe(value)
        histograms.add(value, "one")
    theirs = {line for line in generate_latest(registry).decode().splitlines() if "_created" not in line}
    assert set(text_of(histograms).splitlines()) == theirs
