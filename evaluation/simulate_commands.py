"""The command `headwater simulate`."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from models.choices import Pattern

if TYPE_CHECKING:
    from planning.times import FrameTimes

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]
Rate = Annotated[float, Parameter(validator=Number(gt=0, lte=1000))]
Factor = Annotated[float, Parameter(validator=Number(gt=0, lte=1e6))]
PerSecond = Annotated[float, Parameter(validator=Number(gt=0, lte=1e9))]
Workers = Annotated[int, Parameter(validator=Number(gte=1, lte=100_000))]


@dataclass(frozen=True, kw_only=True)
class SimulateSettings:
    """The fleet, what stands there, what frames take, and what is paid."""

    devices: Count = 5000
    """How many there are."""
    hours: Annotated[float, Parameter(validator=Number(gt=0, lte=8760))] = 24.0
    """How long they run, from midnight on."""
    rate: Rate = 1.0
    """Pictures a second of each device, at its busiest."""
    pattern: Pattern = "regular"
    """Pictures at a fixed pace, or at random."""
    day: str = "constant"
    """What share of the rate each hour asks for: constant, daylight (6 to 18 h), or 24 numbers, the largest 1."""
    workers: Workers | Literal["auto"] = "auto"
    """Worker processes; auto finds the fewest that keep the deadline."""
    deadline: str = "1s"
    """Which 99 of 100 frames must keep, from the capture to the result."""
    bundle: str | None = None
    """The model whose frames are measured: a bundle's name or folder, or a .tflite file; litter when left out."""
    split: str | None = None
    """Where it is cut: image, a cut point or device; image when left out."""
    codec: str | None = None
    """How frames travel; jpeg:90 for pictures and auto for activations when left out."""
    source: str | None = None
    """Pictures to measure with; they are drawn when left out."""
    times: Path | None = None
    """A file of measured times: read where it is there, else measured and written."""
    leave: str | None = None
    """The share of frames that leave at an early exit, such as 40%; as measured when left out."""
    bandwidth: str = "7.2Mbit/s"
    """Of each device's link."""
    round_trip: str = "40ms"
    """Of that link."""
    shared: str | None = None
    """Bandwidth of a link that all frames share, such as the broker's own; wide enough when left out."""
    broker_rate: PerSecond | None = None
    """Frames, with their results, that the broker passes in a second; one core's worth, as measured, when left out."""
    store_rate: PerSecond | None = None
    """Frames that the store takes in a second; one core's worth, as measured, when left out."""
    slowdown: Factor = 1.0
    """How many times slower a device is than where the times were measured."""
    worker_slowdown: Factor = 1.0
    """How many times slower a worker is than where the times were measured."""
    prices: str | None = None
    """A price book: a name of `headwater prices`, or a file; nothing is billed when left out."""
    device: str | None = None
    """The devices' name in the price book; left out, they cost nothing."""
    server: str | None = None
    """The workers' server in the price book; its first when left out."""
    messages: str | None = None
    """The broker's name in the price book; left out, messages cost nothing."""
    transfer: str | None = None
    """What leaves the cloud, in the price book: the results; left out, it costs nothing."""
    cores: Annotated[int, Parameter(validator=Number(gte=1, lte=1024))] = 1
    """Of one server; it runs one worker for each."""
    seed: Annotated[int, Parameter(validator=Number(gte=0, lte=2**31))] = 1
    """Of all that is drawn."""
    plot: Path | None = None
    """Draw the latency over the number of devices into this .svg file; needs matplotlib (the extra training)."""


def simulate(*, settings: Annotated[SimulateSettings, Parameter(name="*")] | None = None, json: bool = False) -> None:
    """Work out what a fleet that does not fit this machine needs: workers, latency, bill, and what is used up first.

    Example: headwater simulate --devices 5000 --hours 24

    What frames take is measured here in a short real run: one device, broker, store and worker. Then the whole fleet is
    simulated frame by frame at its busiest, five times for about a minute, and the hours are added up.

    Args:
        settings: the case
        json: print JSON instead of the table
    """
    from evaluation.simulate_report import as_dict, check_plot, draw, lines
    from evaluation.simulate_settings import read_case
    from models.bars import progress_bar
    from planning.outcome import over_devices, simulated

    asked = settings or SimulateSettings()
    if asked.plot is not None:
        check_plot(asked.plot)
    read_case(asked, None)  # what is wrong in it is said before anything is measured
    case = read_case(asked, _times(asked))
    with progress_bar("simulating") as progress:
        found = simulated(case, progress)
    if asked.plot is not None:
        with progress_bar("simulating other fleets") as progress:
            draw(asked.plot, case, over_devices(case, found.workers, progress), found.workers)
    print(json_text.dumps(as_dict(case, found), indent=1) if json else "\n".join(lines(case, found)))


def _times(asked: SimulateSettings) -> FrameTimes:
    from evaluation.frame_times import measure_times
    from evaluation.simulate_settings import check_times, default_codec
    from models.bars import progress_bar
    from planning.times import load_times, save_times

    if asked.times is not None and asked.times.exists():
        times = load_times(asked.times)
        check_times(asked, times)
        return times
    bundle, split = asked.bundle or "litter", asked.split or "image"
    with progress_bar(f"measuring {bundle}") as progress:
        times = measure_times(bundle, split, asked.codec or default_codec(split), asked.source, progress)
    if asked.times is not None:
        save_times(asked.times, times)
    return times
