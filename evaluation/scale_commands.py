"""The command `headwater evaluate scale`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from evaluation.frame_settings import PICTURES_OF_LITTER, FrameSettings

Workers = Annotated[tuple[Annotated[int, Parameter(validator=Number(gte=1, lte=64))], ...], Parameter(negative="")]


@dataclass(frozen=True, kw_only=True)
class ScaleSettings:
    """What is measured, and where to put it."""

    workers: Workers = (1, 2, 4)
    """Worker processes; may be given several times, a run for each."""
    devices: Annotated[int, Parameter(validator=Number(gte=1, lte=300))] = 200
    """Simulated ones in the run of a fleet, at most 300."""
    rate: Annotated[float, Parameter(validator=Number(gt=0, lte=100))] = 1.0
    """Frames a second of each of them."""
    seconds: Annotated[float, Parameter(validator=Number(gte=2, lte=3600))] = 20.0
    """Of each run."""
    sent: Annotated[FrameSettings, Parameter(name="*")] = PICTURES_OF_LITTER
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results")
    """Folder for the table and the plot."""


def scale(*, settings: Annotated[ScaleSettings, Parameter(name="*")] | None = None) -> None:
    """Measure what more workers, more devices and more frames do on this machine: a table and a plot.

    Example: headwater evaluate scale --workers 1 --workers 2 --devices 300 -o results

    For each number of worker processes: the most frames a second, and the latency at 70 % of that. Then a fleet of
    simulated devices, and what one more device and one more frame cost broker and store. Written are
    scale-BUNDLE-SPLIT.csv and .svg. Devices, broker, store and workers share this machine's cores; let nothing else run
    meanwhile.
    """
    from evaluation.scale import many
    from evaluation.scale import scale as measure
    from evaluation.scale_report import Report, name_of, save, table
    from evaluation.simulate_report import check_plot
    from models.bars import progress_bar

    asked = settings or ScaleSettings()
    bundle, split = asked.sent.bundle, asked.sent.split
    name = name_of(bundle, split)
    check_plot(asked.output / f"{name}.svg")
    frames = asked.sent.encoded()
    with progress_bar("measuring workers") as progress:
        rows = list(measure(bundle, frames, asked.workers, asked.seconds, progress))
    with progress_bar(f"connecting {asked.devices} devices") as progress:
        processes = max(asked.workers)
        row, costs = many(bundle, frames, asked.devices, asked.rate, asked.seconds, processes, progress)
    report = Report(bundle, split, asked.sent.codec_name, (*rows, row), costs)
    save(asked.output, report)
    print(table(report))
    print(f"written: {asked.output}/{name}.csv and .svg", file=sys.stderr)
