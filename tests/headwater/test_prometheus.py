"""Figures are said once and read as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headwater.prometheus import Figure, Figures, Reading

FIGURES = (
    Figure("t_up", "gauge", "Whether it is there."),
    Figure("t_frames_total", "counter", "Frames, by end.", ("end",)),
    Figure("t_pairs_total", "counter", "Pairs.", ("a", "b")),
    Figure("t_stage_seconds", "histogram", "Times.", ("stage",), (0.1, 1.0)),
    Figure("t_batch_frames", "histogram", "Sizes.", (), (1, 2)),
)


def samples(figures: Figures) -> dict[str, float]:
    """Return every sample but those of the process, by name and labels, as the reference parser reads them."""
    return {
        f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value
        for family in text_string_to_metric_families(figures.exposition().decode())
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


def test_values_are_read_when_they_are_asked_for() -> None:
    """Without a label, by one, by two; text that would end a label is escaped; what is not known has no sample."""
    now: dict[str, object] = {
        "t_up": 1,
        "t_frames_total": {"well": 3, 'a"b\\c\nd': 1},
        "t_pairs_total": {("x", "y"): 2},
    }
    figures = Figures(FIGURES, lambda: now)  # type: ignore[arg-type,return-value]
    found = samples(figures)
    assert (found["t_up"], found["t_frames_total well"], found["t_pairs_total x y"]) == (1, 3, 2)
    assert found['t_frames_total a"b\\c\nd'] == 1
    now.clear()
    now["t_frames_total"] = {"well": 4}
    assert {name: value for name, value in samples(figures).items() if "stage" not in name and "batch" not in name} == {
        "t_frames_total well": 4
    }


def test_a_histogram_counts_up_to_each_bound() -> None:
    """A value at a bound belongs to it; one over all of them only to +Inf; nothing tells when it was made."""
    figures = Figures(FIGURES, dict)
    for seconds in (0.0, 0.1, 0.3, 99.0):
        figures.observe("t_stage_seconds", seconds, "tail")
    figures.observe("t_batch_frames", 2)
    found = samples(figures)
    assert [found[f"t_stage_seconds_bucket {bound} tail"] for bound in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
    assert (found["t_stage_seconds_sum tail"], found["t_stage_seconds_count tail"]) == (pytest.approx(99.4), 4)
    assert [found[f"t_batch_frames_bucket {bound}"] for bound in ("1.0", "2.0", "+Inf")] == [0, 1, 1]
    assert not [name for name in found if "_created" in name]


def test_the_stages_of_a_frame_go_to_one_histogram() -> None:
    """Nanoseconds in, seconds by stage out."""
    figures = Figures(FIGURES, dict)
    figures.observe_stages("t_stage_seconds", {"head": 500_000_000, "spool": 2_000_000_000})
    found = samples(figures)
    assert (found["t_stage_seconds_sum head"], found["t_stage_seconds_sum spool"]) == (0.5, 2.0)


def test_each_has_a_registry_of_its_own() -> None:
    """Two with the same names are no conflict, and the package's global registry knows of none."""
    one, other = Figures(FIGURES, lambda: {"t_up": 1}), Figures(FIGURES, lambda: {"t_up": 0})
    assert (samples(one)["t_up"], samples(other)["t_up"]) == (1, 0)
    assert b"t_up" not in generate_latest(REGISTRY)


def test_the_process_tells_its_own() -> None:
    """Memory, processor time and open files come with every registry."""
    reading: Reading = {}
    text = Figures((), lambda: reading).exposition().decode()
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= {
        line.split()[0] for line in text.splitlines() if not line.startswith("#")
    }
