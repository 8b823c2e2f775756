"""The command `headwater evaluate fleet`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from evaluation.frame_settings import PICTURES_OF_LITTER, FrameSettings

if TYPE_CHECKING:
    from planning.times import FrameTimes

Rates = Annotated[tuple[float, ...], Parameter(validator=Number(gt=0, lte=100), negative="")]


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """The fleet to run, and what its devices do."""

    devices: Annotated[int, Parameter(validator=Number(gte=1, lte=500))] = 50
    """Device processes; each holds about 110 MB and takes about a second to start."""
    rate: Rates = (0.5, 1.0, 2.0)
    """Pictures a second of each; may be given several times, a run for each."""
    seconds: Annotated[float, Parameter(validator=Number(gte=5, lte=600))] = 60.0
    """That a run counts."""
    sent: Annotated[FrameSettings, Parameter(name="*")] = PICTURES_OF_LITTER
    source: str | None = None
    """Pictures; drawn ones in the network's own size when left out, so that devices leave the worker a core."""
    seed: Annotated[int, Parameter(validator=Number(gte=0, lte=2**31))] = 1
    """Of all that is drawn in the simulation."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results")
    """Folder for the table and the plot."""


def fleet(*, settings: Annotated[FleetSettings, Parameter(name="*")] | None = None) -> None:
    """Run a real fleet on this machine and hold the simulation of it against what it did: a table and a plot.

    Example: headwater evaluate fleet --devices 50 --rate 1 --rate 2 --seconds 60 -o results

    One device tells what frames take; from that many are predicted, and then really run: broker, store, one worker and
    a process for every device, all on this machine. Written are fleet.csv and fleet.svg. What else runs here, and
    devices that take each other's processor, is in what is measured and not in what is predicted.
    """
    from evaluation.fleet import check_load, compare, run_fleet, sentence
    from evaluation.fleet_report import save, table
    from evaluation.running import check_memory
    from evaluation.simulate_report import check_plot
    from models.bars import progress_bar

    asked = settings or FleetSettings()
    check_plot(asked.output / "fleet.svg")
    check_memory(asked.devices)
    times, rows = _times(asked), []
    check_load(asked.devices, asked.rate, times)
    for rate in asked.rate:
        with progress_bar(f"starting {asked.devices} devices at {rate:g}/s") as progress:
            run = run_fleet(asked.devices, rate, asked.seconds, times, asked.sent.bundle, asked.source, progress)
        print(sentence(run, times), flush=True)
        rows += compare(run, times, asked.seed)
    save(asked.output, rows, times)
    print(table(rows))
    print(f"written: {asked.output}/fleet.csv and fleet.svg", file=sys.stderr)


def _times(asked: FleetSettings) -> FrameTimes:
    from evaluation.frame_times import measure_times
    from models.bars import progress_bar

    sent = asked.sent
    with progress_bar("measuring one device") as progress:
        return measure_times(sent.bundle, sent.split, sent.codec_name, asked.source, progress, small=True)
