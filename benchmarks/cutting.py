"""Does cutting cost time? Head and tail run one after the other against the whole, on LiteRT alone, one thread."""

from __future__ import annotations

import statistics

from benchmarks.measure import Row, interleaved_ms, median_ms
from benchmarks.nets import keras_file, random_input
from models.bundle import Bundle
from models.engine import Engine

CUTS = 6
"""How many cut points are measured, spread evenly over the network."""


def run() -> list[Row]:
    """Return head + tail against the whole for the shipped model and for two float32 networks."""
    litter = Bundle.load("litter")
    files = {
        "litter int8 160": litter.model_path,
        "MobileNetV2 float32 160": keras_file("MobileNetV2", 160, "float32"),
        "ResNet50 float32 96": keras_file("ResNet50", 96, "float32"),
    }
    rows = []
    for label, path in files.items():
        finals = litter.finals if path == litter.model_path else None
        ratios, whole_ms = _ratios(Engine(path, outputs=finals))
        rows.append(Row(f"{label}: whole", whole_ms, "ms"))
        rows.append(
            Row(f"{label}: head + tail / whole, median of {len(ratios)} cuts", statistics.median(ratios), "×", 1.05)
        )
        rows.append(Row(f"{label}: head + tail / whole, worst cut", max(ratios), "×"))
        rows.append(Row(f"{label}: extraction of a head", _extraction_ms(Engine(path, outputs=finals)), "ms"))
    return rows


def _ratios(engine: Engine) -> tuple[list[float], float]:
    points = engine.graph.cut_points()
    names = [points[round(i * (len(points) - 1) / (CUTS - 1))].name for i in range(CUTS)]
    whole = engine.whole()
    array = random_input(whole)
    ratios, whole_times = [], []
    for name in names:
        head, tail = engine.head(name), engine.tail(name)
        whole_ms, split_ms = interleaved_ms([lambda: whole.run(array), lambda: tail.run(*head.run(array))])  # noqa: B023
        ratios.append(split_ms / whole_ms)
        whole_times.append(whole_ms)
    return ratios, statistics.median(whole_times)


def _extraction_ms(engine: Engine) -> float:
    points = engine.graph.cut_points()
    middle = points[len(points) // 2].name
    return median_ms(lambda: engine.graph.extract(None, [middle]), repeats=7, warm_up=1)
