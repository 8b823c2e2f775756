"""Figures of one process as Prometheus reads them. Pure: values in, text out.

Source: Prometheus, "Exposition formats", text format 0.0.4. So little of it is needed, counters, gauges and histograms,
that the package prometheus_client, with its global registry, would not make it shorter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]
"""Pairs of a label's name and its value."""


class Histogram:
    """Durations in seconds, counted by bounds that are the same for all."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str, labels: Labels) -> list[str]:
        """Return its samples: so many up to each bound, their sum, their number."""
        so_far, out = 0, []
        for bound, count in zip((*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"), self._counts, strict=True):
            so_far += count
            out.append(sample(f"{name}_bucket", (*labels, ("le", bound)), so_far))
        return [*out, sample(f"{name}_sum", labels, self._sum_s), sample(f"{name}_count", labels, so_far)]


def sample(name: str, labels: Labels, value: float) -> str:
    """Return one line: the name, its labels, the value."""
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"


def family(name: str, kind: Literal["counter", "gauge"], text: str, samples: Mapping[Labels, float]) -> list[str]:
    """Return a counter or gauge with all its samples; `text` says in a line what it counts."""
    return [*_head(name, kind, text), *(sample(name, labels, value) for labels, value in samples.items())]


def histogram_family(name: str, text: str, histograms: Mapping[Labels, Histogram]) -> list[str]:
    """Return a histogram with all its samples."""
    found = [line for labels, histogram in histograms.items() for line in histogram.lines(name, labels)]
    return [*_head(name, "histogram", text), *found]


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
