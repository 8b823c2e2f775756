"""What a process counts and measures, said once, and read as Prometheus reads it.

Built on prometheus_client (pure Python, nothing else with it, 1.7 MB resident): the exposition and the process's own
figures are its work. Each process has a registry of its own; the package's global one is not used. Counts and states
are read where they are kept anyway, when somebody asks; only histograms are kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of durations."""

Family = CounterMetricFamily | GaugeMetricFamily
Values = float | Mapping[Any, float]
"""A figure's value; by the value of its label, or the values of its labels, where it has any."""
Reading = Mapping[str, Values]
"""Values by the figure's name; one that is left out is not known now."""


@dataclass(frozen=True)
class Figure:
    """One thing that a process counts or measures."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram."""


class Figures:
    """All figures of one process."""

    def __init__(self, figures: Sequence[Figure], read: Callable[[], Reading]) -> None:
        """Ask `read`, on the asking thread, for all but histograms; it must not wait for anything."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Read([one for one in figures if one.kind != "histogram"], read))
        self._histograms = {
            one.name: Histogram(one.name, one.text, one.labels, buckets=one.bounds, registry=self._registry)
            for one in figures
            if one.kind == "histogram"
        }

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram; from any thread."""
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def observe_stages(self, name: str, stages_ns: Mapping[Any, int], *labels: str) -> None:
        """Add the durations of one frame's stages to a histogram whose last label is the stage."""
        for stage, took_ns in stages_ns.items():
            self.observe(name, took_ns / 1e9, *labels, stage)

    def exposition(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self._registry)


class _Read(Collector):
    """Asks the process for its figures when they are wanted."""

    def __init__(self, figures: Sequence[Figure], read: Callable[[], Reading]) -> None:
        self._figures, self._read = figures, read

    def collect(self) -> Iterable[Family]:
        """Return all families; those that nothing is known of have no samples."""
        found = self._read()
        return [_family(one, found.get(one.name, {})) for one in self._figures]


def _family(figure: Figure, values: Values) -> Family:
    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = kind(figure.name, figure.text, labels=figure.labels)
    by_labels = values if isinstance(values, Mapping) else {(): values}
    for labels, value in by_labels.items():
        family.add_metric([labels] if isinstance(labels, str) else list(labels), value)
    return family
