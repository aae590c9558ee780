"""A metric's labelled children, looked up once each and bounded in number."""

from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

MAX_CHILDREN: Final = 512
OTHER: Final = "other"

M = TypeVar("M", Counter, Gauge, Histogram)


class Children(Generic[M]):
    """Caches `metric.labels(...)`, which costs more than counting. Label sets past the bound share one, `other`."""

    def __init__(self, metric: M, labels: int, *, limit: int = MAX_CHILDREN) -> None:
        self._metric: M = metric
        self._other = (OTHER,) * labels
        self._limit = limit
        self._children: dict[tuple[str, ...], M] = {}

    def of(self, *labels: str) -> M:
        """Return the child for these label values."""
        child = self._children.get(labels)
        if child is not None:
            return child
        if len(self._children) >= self._limit:
            return self._metric.labels(*self._other)
        child = self._metric.labels(*labels) if labels else self._metric
        self._children[labels] = child
        return child
