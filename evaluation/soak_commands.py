"""The command `headwater evaluate soak`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from evaluation.frame_settings import PICTURES_OF_LITTER, FrameSettings

LEAST_LOOKS = 3


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """How long, how much, and where to put what it shows."""

    minutes: Annotated[float, Parameter(validator=Number(gte=0.1, lte=10_080))] = 30.0
    """A third of it is warm-up: it is not looked at for growth."""
    devices: Annotated[int, Parameter(validator=Number(gte=1, lte=300))] = 200
    """Simulated ones, at most 300."""
    rate: Annotated[float, Parameter(validator=Number(gt=0, lte=100))] = 1.0
    """Frames a second of each of them."""
    processes: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 2
    """Worker processes."""
    every: Annotated[float, Parameter(validator=Number(gte=0.1, lte=600))] = 5.0
    """Seconds between two looks at each process."""
    sent: Annotated[FrameSettings, Parameter(name="*")] = PICTURES_OF_LITTER
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results")
    """Folder for the tables and the plot."""

    def __post_init__(self) -> None:
        """Pass if there are looks enough for a trend. Raises: SettingsError."""
        from evaluation.soak_run import WARM_UP
        from headwater.errors import SettingsError

        longest_s = self.minutes * 60 * (1 - WARM_UP) / LEAST_LOOKS
        if self.every > longest_s:
            raise SettingsError(
                f"--every: got {self.every:g}, expected at most {longest_s:.2g}, for {LEAST_LOOKS} looks after the"
                f" warm-up of {self.minutes:g} minutes; give fewer seconds or more --minutes"
            )


def soak(*, settings: Annotated[SoakSettings, Parameter(name="*")] | None = None) -> None:
    """Let a fleet stream for long on this machine and say whether any process grows: tables and a plot.

    Example: headwater evaluate soak --minutes 30 --devices 200 -o results

    Broker, store, workers, a site with a page open, one real device and many simulated ones run here. Every process's
    memory, open files and threads are looked at every few seconds; after the warm-up a line through them must not rise.
    The store keeps as many records as come in a sixth of the warm-up, so that it has come to rest when it counts.
    Written are soak.csv, soak-summary.csv and soak.svg. The exit status is 1 when something grew, or a frame was
    refused or not answered.
    """
    from evaluation.load import Schedule
    from evaluation.simulate_report import check_plot
    from evaluation.soak import not_flat
    from evaluation.soak_report import NAME, lines, save
    from evaluation.soak_run import soak as run
    from models.bars import progress_bar

    asked = settings or SoakSettings()
    check_plot(asked.output / f"{NAME}.svg")
    frames = asked.sent.encoded()
    schedule = Schedule(asked.devices, asked.rate)
    with progress_bar("soaking, seconds") as progress:
        found = run(asked.sent.bundle, frames, schedule, asked.minutes * 60, asked.every, asked.processes, progress)
    print("\n".join(lines(found)))
    if found.trends:
        save(asked.output, found)
        print(f"written: {asked.output}/{NAME}.csv, {NAME}-summary.csv and {NAME}.svg", file=sys.stderr)
    if not_flat(found.trends) or not found.trends or found.loaded.counts.refused or found.loaded.counts.unanswered:
        sys.exit(1)
