"""The command `headwater plan`."""

from __future__ import annotations

import json as json_text
import threading
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from planning.decide import Method
from planning.ways import PredictorName

if TYPE_CHECKING:
    from edge.head import Pixels
    from models.bundle import Bundle
    from models.crop import Crop
    from planning.decide import Limits, Rates
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
    prices: str | None = None
    """A price book: a name of `headwater prices`, or a file; without one only latency counts."""
    device: str | None = None
    """The device's name in the price book; its first when left out."""
    server: str | None = None
    """The worker's server in the price book; its first when left out."""
    messages: str | None = None
    """The broker's name in the price book; messages cost nothing when left out."""
    transfer: str | None = None
    """What leaves the cloud, in the price book: results cost nothing when left out."""
    weight: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.5
    """0: the fastest, 1: the cheapest."""
    method: Method = "optimum"
    """The least weighted sum, or the rank match of papers/001."""
    predictor: PredictorName = "profile"
    """What computing takes: as measured here; linear in the cut point (papers/001); or by operator type, from
    profiles of the other bundles."""
    packet: str | None = None
    """The broker's largest packet, such as 128KB; a device leaves 1 KB of it to MQTT."""
    frame_bytes: str | None = None
    """The most that a mean frame may weigh."""
    deadline: str | None = None
    """The longest that a mean frame may take, such as 200ms."""
    accuracy: str | None = None
    """The least share of right answers of each task, such as 90%, by the bundle's own figures; what nobody measured
    does not pass."""
    leak: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None
    """The largest SSIM with which pictures were rebuilt from what travels (headwater models privacy)."""
    energy: str | None = None
    """The most that the device may spend on a mean frame, such as 50mJ; needs watts in the price book."""
    keep_pictures: bool = False
    """No picture leaves the device."""
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
    rates, limits = _rates(asked), _limits(asked)
    at = _conditions(asked)  # what is wrong in it is said before anything is measured
    if asked.plot is not None:
        check_plot(asked.plot)
    ways = _ways(asked, at)
    judged = decide(ways, at, rates, asked.weight, limits, asked.method)
    if asked.plot is not None:
        draw(asked.plot, judged, asked.bundle)
    if json:
        print(json_text.dumps(as_dicts(judged, rates), indent=1))
    else:
        header, lines = rows(judged, rates.currency, priced=asked.prices is not None)
        print(in_columns(header, lines, header[1:-1]))
        print(f"\n{verdict(judged, asked.weight, asked.method, rates)}")


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
    from edge.plan_settings import bits_per_s, hertz, seconds
    from headwater.errors import SettingsError
    from headwater.host import clock_hz
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
    )


def _rates(asked: PlanSettings) -> Rates:
    from headwater.errors import SettingsError
    from planning.decide import Rates, rates_of
    from planning.prices import load_book

    names = {name: getattr(asked, name) for name in ("device", "server", "messages", "transfer")}
    if asked.prices is not None:
        return rates_of(load_book(asked.prices), **names)
    given = [name for name, value in names.items() if value is not None]
    if given:
        raise SettingsError(f"--{given[0]} names something in a price book, and none is given; add --prices BOOK")
    return Rates()


def _limits(asked: PlanSettings) -> Limits:
    from edge.plan_settings import joules, seconds, share, size_bytes
    from headwater.session import PACKET_OVERHEAD_BYTES
    from planning.decide import Limits

    return Limits(
        message_bytes=None if asked.packet is None else size_bytes("packet", asked.packet) - PACKET_OVERHEAD_BYTES,
        frame_bytes=None if asked.frame_bytes is None else size_bytes("frame-bytes", asked.frame_bytes),
        deadline_s=None if asked.deadline is None else seconds("deadline", asked.deadline),
        accuracy_at_least=None if asked.accuracy is None else share("accuracy", asked.accuracy),
        leak_ssim_at_most=asked.leak,
        energy_j_at_most=None if asked.energy is None else joules("energy", asked.energy),
        keeps_pictures=asked.keep_pictures,
    )
