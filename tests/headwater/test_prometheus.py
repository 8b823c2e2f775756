"""Figures as Prometheus's text format has them."""

from __future__ import annotations

from headwater.prometheus import BOUNDS_S, Histogram, family, histogram_family, sample


def test_a_sample_is_a_line() -> None:
    """With labels and without; what would end a label's text is escaped."""
    assert sample("up", (), 1) == "up 1"
    assert sample("n_total", (("route", "/a"), ("status", "200")), 3) == 'n_total{route="/a",status="200"} 3'
    assert sample("n", (("x", 'a"b\\c\nd'),), 0.25) == r'n{x="a\"b\\c\nd"} 0.25'


def test_a_family_says_what_it_counts() -> None:
    """HELP and TYPE come first, once."""
    lines = family("n_total", "counter", "Things.", {(("a", "1"),): 2, (("a", "2"),): 5})
    assert lines == ["# HELP n_total Things.", "# TYPE n_total counter", 'n_total{a="1"} 2', 'n_total{a="2"} 5']


def test_a_histogram_counts_up_to_each_bound() -> None:
    """A duration at a bound belongs to it; one over all of them only to +Inf; sum and count are of all."""
    histogram = Histogram()
    for seconds in (0.0, BOUNDS_S[0], 0.3, 99.0):
        histogram.add(seconds)
    lines = histogram_family("t_seconds", "Times.", {(("stage", "tail"),): histogram})
    assert lines[:2] == ["# HELP t_seconds Times.", "# TYPE t_seconds histogram"]
    assert lines[2] == 't_seconds_bucket{stage="tail",le="0.0005"} 2'
    counts = [float(line.split()[-1]) for line in lines[2:-2]]
    assert counts == [2.0] * 9 + [3.0] * 5 + [4.0]
    assert lines[-3:] == [
        't_seconds_bucket{stage="tail",le="+Inf"} 4',
        't_seconds_sum{stage="tail"} 99.3005',
        't_seconds_count{stage="tail"} 4',
    ]
