"""Counters and histograms that cost a dictionary look-up to count, and are shaped for Prometheus only when scraped.

prometheus-client's own take a lock and several checks per increment, and a request counts a dozen of them. These are
counted on one thread, the event loop; any thread may render them. Label sets past a bound share one, whose labels are
all `other`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

MAX_SERIES: Final = 512
OTHER: Final = "other"


class Counters(Collector):
    """One counter by label values; starts at zero without labels, else a series begins when it is first counted."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, limit: int = MAX_SERIES) -> None:
        self._name, self._text, self._labels, self._limit = name, text, tuple(labels), limit
        self._other = (OTHER,) * len(labels)
        self._totals: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, amount: float, *labels: str) -> None:
        """Count `amount`, which is not negative."""
        try:
            self._totals[labels] += amount
        except KeyError:
            key = labels if len(self._totals) < self._limit else self._other
            self._totals[key] = self._totals.get(key, 0) + amount

    def collect(self) -> Iterable[Metric]:
        """Return the series for one scrape."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, total in tuple(self._totals.items()):
            family.add_metric(labels, total)
        return (family,)


class Histograms(Collector):
    """One histogram by label values; `bounds` are the upper ends of its buckets, rising, without infinity."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], *, bounds: Sequence[float], limit: int = MAX_SERIES
    ) -> None:
        self._name, self._text, self._labels, self._limit = name, text, tuple(labels), limit
        self._bounds = tuple(bounds)
        self._titles = (*map(floatToGoString, bounds), "+Inf")
        self._other = (OTHER,) * len(labels)
        self._series: dict[tuple[str, ...], _Series] = {}

    def add(self, value: float, *labels: str) -> None:
        """Take one observation."""
        series = self._series.get(labels)
        if series is None:
            key = labels if len(self._series) < self._limit else self._other
            series = self._series.setdefault(key, _Series(len(self._titles)))
        series.counts[bisect_left(self._bounds, value)] += 1
        series.total += value

    def collect(self) -> Iterable[Metric]:
        """Return the series for one scrape."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, series in tuple(self._series.items()):
            running, buckets = 0, []
            for title, count in zip(self._titles, series.counts, strict=True):
                running += count
                buckets.append((title, running))
            family.add_metric(labels, buckets, series.total)
        return (family,)


class _Series:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
