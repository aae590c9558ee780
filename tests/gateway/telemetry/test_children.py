from prometheus_client import CollectorRegistry, Counter, generate_latest

from headrace.gateway.telemetry.children import Children


def counter(*labels: str) -> tuple[CollectorRegistry, Counter]:
    registry = CollectorRegistry()
    return registry, Counter("x", "text", labelnames=labels, registry=registry)


def test_a_label_set_has_one_child() -> None:
    _, metric = counter("a")
    children = Children(metric, 1)
    assert children.of("one") is children.of("one")
    assert children.of("one") is not children.of("two")


def test_label_sets_past_the_bound_share_one() -> None:
    registry, metric = counter("a")
    children = Children(metric, 1, limit=2)
    for name in ("one", "two", "three", "four", "four"):
        children.of(name).inc()
    text = generate_latest(registry).decode()
    assert 'x_total{a="other"} 3.0' in text
    assert "three" not in text


def test_a_metric_without_labels_is_its_own_child() -> None:
    _, metric = counter()
    assert Children(metric, 0).of() is metric
