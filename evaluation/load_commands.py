"""The command `headwater load`."""

from __future__ import annotations

import json as json_text
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from evaluation.frame_settings import PICTURES_OF_LITTER, FrameSettings
from headwater.address import NOBODY, BrokerUser

if TYPE_CHECKING:
    from evaluation.load_run import Loaded

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=10_000_000))]
Devices = Annotated[int, Parameter(validator=Number(gte=1, lte=300))]
Rate = Annotated[float, Parameter(validator=Number(gt=0, lte=1000))]


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """How many devices send what, how often, and to whom."""

    devices: Devices = 50
    """Simulated ones, at most 300: each has a connection and a name, and a thread of this process. Run several commands
    for more."""
    rate: Rate | None = None
    """Frames a second of each; as fast as answers come when left out."""
    frames: Count = 10_000_000
    """In all; or as many as --seconds allow."""
    seconds: Annotated[float, Parameter(validator=Number(gte=1, lte=86_400))] = 30.0
    """How long at most; the first three of them, or a fifth of all, are left out of the figures."""
    window: Annotated[int, Parameter(validator=Number(gte=1, lte=100_000))] = 64
    """Frames under way in all; with --rate at least four of each device and a second's worth, and what finds no room is
    held back."""
    sent: Annotated[FrameSettings, Parameter(name="*")] = PICTURES_OF_LITTER
    source: Path | None = None
    """A folder of pictures to make frames of; they are drawn when left out."""
    processes: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1
    """Worker processes of the installation that is started; without --broker."""
    broker: str | None = None
    """Send to this broker (mqtt://…) and its workers, instead of starting broker, store and worker here."""
    fleet: str = "load"
    """Whose workers are to finish the frames, with --broker; not one whose map people look at."""
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY


def load(*, settings: Annotated[LoadSettings, Parameter(name="*")] | None = None, json: bool = False) -> None:
    """Send the frames of many simulated devices and say how many come back, how fast, and what is busiest.

    Example: headwater load --devices 200 --rate 1 --seconds 60

    Example: headwater load --broker mqtt://broker.example --fleet trial --devices 300 --rate 0.5 --json

    The frames are real ones, encoded once; every device has its own connection, gets its own answers, and sends again
    what was not answered in 10 s. Without --broker all runs here, on loopback, and is stopped at the end. The exit
    status is 1 when a frame was refused or not answered.

    Args:
        json: print one JSON object instead
    """
    from evaluation.load_report import as_json, lines

    asked = settings or LoadSettings()
    found = _loaded(asked)
    print(json_text.dumps(as_json(found)) if json else "\n".join(lines(found)))
    if found.counts.refused or found.counts.unanswered:
        sys.exit(1)


def _loaded(asked: LoadSettings) -> Loaded:
    from evaluation.load import Schedule
    from evaluation.load_run import SimulatedFleet, folder_pictures, run_load
    from evaluation.running import FLEET, installation
    from headwater.address import Address
    from models.bars import progress_bar

    frames = asked.sent.encoded([] if asked.source is None else folder_pictures(asked.source))
    schedule = Schedule(asked.devices, asked.rate)
    with ExitStack() as running:
        at = None if asked.broker else running.enter_context(installation(asked.sent.bundle, asked.processes))
        address = Address.parse(at.broker) if at else Address.of(str(asked.broker), asked.user)
        name = FLEET if at else asked.fleet
        fleet = SimulatedFleet(address, name, frames, schedule, schedule.window(asked.window))
        running.callback(fleet.close)
        with progress_bar(f"connecting {asked.devices} devices") as progress:
            fleet.connect(progress)
        with progress_bar("sending") as progress:
            return run_load(fleet, asked.frames, asked.seconds, at, asked.processes, progress)
