"""The command `headwater plan`."""

from __future__ import annotations

import json as json_text
import threading
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edge.preferences import Preferences, limits_wanted, rates_wanted
from planning.ways import PredictorName

if TYPE_CHECKING:
    from edge.head import Pixels
    from models.bundle import Bundle
    from models.crop import Crop
    from planning.ways import Conditions, Way

Factor = Annotated[float, Parameter(validator=Number(gt=0, lte=1e6))]
PICTURES = 3


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What is known of device, link, worker and prices, what counts, and what must not happen."""

    bundle: str = "litter"
    """The model: a bundle's name or folder, or a .tflite file."""
    source: str | None = None
    """Pictures like those of the camera: a folder, a picture, a clip; pictures are drawn when left out."""
    threads: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1
    """LiteRT threads of device and worker."""
    codec: Annotated[tuple[str, ...], Parameter(negative="")] = ("auto", "jpeg:90")
    """How activations and pictures may travel, each where it fits; may be given several times."""
    bandwidth: str = "7.2Mbit/s"
    """Of the link from the device to the broker."""
    round_trip: str = "40ms"
    """Of that link."""
    clock: str | None = None
    """The device's clock, such as 1.5GHz; that of this machine when left out."""
    slowdown: Factor = 1.0
    """How many times slower the device is than this machine; with --clock both count."""
    worker_slowdown: Factor = 1.0
    """How many times slower the worker is than this machine."""
    worker_wait: str = "0ms"
    """How long a frame waits at the worker before its turn."""
    predictor: PredictorName = "profile"
    """What computing takes: as measured here; linear in the cut point (papers/001); or by operator type, from
    profiles of the other bundles."""
    packet: str | None = None
    """The broker's largest packet, such as 128KB; a device leaves 1 KB of it to MQTT."""
    rate: Annotated[float, Parameter(validator=Number(gte=0, lte=1e6))] = 0.0
    """Pictures a second that device and link must keep up with; 0 asks for the single frame alone."""
    wanted: Annotated[Preferences, Parameter(name="*")] = field(default_factory=Preferences)
    """What counts, what it may cost, and what must not happen."""
    plot: Path | None = None
    """Draw the stages of every way into this .svg file; needs matplotlib (the extra training)."""


def plan(*, settings: Annotated[PlanSettings, Parameter(name="*")] | None = None, json: bool = False) -> None:
    """Say where a frame should be computed, what every other way would take and cost, and why it lost.

    Example: headwater plan --bundle litter --bandwidth 7.2Mbit/s --round-trip 40ms --clock 1.5GHz --weight 0.5
    --prices luger-2023

    Every way is tried on this machine: the picture, each cut point, the device alone. Their times are scaled to the
    device and worker asked about, the link is computed, the limits are applied, and the best of what remains is chosen.

    Args:
        settings: the case
        json: print JSON instead of the table
    """
    from edge.plan_report import as_dicts, check_plot, draw, rows, verdict
    from models.columns import in_columns
    from planning.decide import decide

    asked = settings or PlanSettings()
    wanted, at = asked.wanted, _conditions(asked)  # what is wrong in it is said before anything is measured
    rates, limits = rates_wanted(wanted.charged), replace(limits_wanted(wanted), message_bytes=_message_bytes(asked))
    if asked.plot is not None:
        check_plot(asked.plot)
    ways = _ways(asked, at)
    judged = decide(ways, at, rates, wanted.weight, limits, wanted.method)
    if asked.plot is not None:
        draw(asked.plot, judged, asked.bundle)
    if json:
        print(json_text.dumps(as_dicts(judged, rates), indent=1))
    else:
        header, lines = rows(judged, rates.currency, priced=wanted.charged.prices is not None)
        print(in_columns(header, lines, header[1:-1]))
        print(f"\n{verdict(judged, wanted.weight, wanted.method, rates)}")


def _ways(asked: PlanSettings, at: Conditions) -> list[Way]:
    from edge.crop import crop_of
    from edge.rehearsal import rehearse
    from models.bars import progress_bar
    from models.bundle import Bundle
    from models.engine import Engine

    bundle = Bundle.load(asked.bundle)
    engine = Engine(bundle.model_path, threads=asked.threads, outputs=bundle.finals)
    crop = crop_of(bundle, None, None)
    with progress_bar(f"trying {bundle.name}") as progress:
        ways = rehearse(
            bundle, engine, _pictures(asked, bundle, crop), codecs=asked.codec, crop=crop, progress=progress
        )
    return ways if asked.predictor == "profile" else _predicted(asked, bundle, ways, at)


def _predicted(asked: PlanSettings, bundle: Bundle, ways: list[Way], at: Conditions) -> list[Way]:
    """Return the ways as another predictor sees them; where it has to profile other bundles, they are kept."""
    from edge.plan_predictors import predictor_of
    from models.bars import progress_bar
    from models.bundle import find_bundles
    from models.shelf import FOLDER
    from planning.predictors import predicted

    others = [one for one in find_bundles([FOLDER] if FOLDER.is_dir() else []).values() if one.digest != bundle.digest]
    with progress_bar("profiling other bundles") as progress:
        found = predictor_of(asked.predictor, ways, bundle, others, asked.threads, progress)
    return predicted(ways, found, at)


def _pictures(asked: PlanSettings, bundle: Bundle, crop: Crop) -> list[Pixels]:
    from edge.rehearsal import drawn_pictures
    from edge.sources.address import open_source
    from headwater.errors import SettingsError

    if asked.source is not None:
        size = crop.size_to_decode(bundle.input.width, bundle.input.height)
        source = open_source(asked.source, rate=None, loop=False, at_least=size)
        return [capture.picture for capture in islice(source.captures(threading.Event()), PICTURES)]
    if bundle.input.crop == "face":
        raise SettingsError(f"{bundle.name} looks at faces, and drawn pictures have none; give some (--source FOLDER)")
    return drawn_pictures(PICTURES)


def _conditions(asked: PlanSettings) -> Conditions:
    from headwater.errors import SettingsError
    from headwater.host import clock_hz
    from headwater.quantities import bits_per_s, hertz, seconds
    from planning.ways import Conditions

    slowdown = asked.slowdown
    if asked.clock is not None:
        here = clock_hz()
        if here is None:
            raise SettingsError("clock: this machine does not tell its own, expected some; give --slowdown instead")
        slowdown *= here / hertz(asked.clock)
    return Conditions(
        bits_per_s(asked.bandwidth),
        seconds("round-trip", asked.round_trip),
        slowdown,
        asked.worker_slowdown,
        seconds("worker-wait", asked.worker_wait),
        asked.rate,
    )


def _message_bytes(asked: PlanSettings) -> float | None:
    from headwater.quantities import size_bytes
    from headwater.session import PACKET_OVERHEAD_BYTES

    return None if asked.packet is None else size_bytes("packet", asked.packet) - PACKET_OVERHEAD_BYTES
