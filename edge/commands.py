"""The command `headwater edge`."""

from __future__ import annotations

import json as json_text
import os
import re
import signal
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edge.checks import check_settings
from edge.keeping import Keeping
from edge.preferences import Preferences, limits_wanted, rates_wanted
from headwater.address import NOBODY, BrokerUser
from headwater.fields import Report
from headwater.logs import Level, LogFormat, configure_logging, settings_line
from headwater.traces import Teller, collected
from headwater.verdict import UNWELL_AFTER_S
from models.choices import CropName

if TYPE_CHECKING:
    from types import FrameType

    from edge.device import Device
    from edge.parts import InSight
    from edge.scheduler import Auto
    from edge.traces import Tracing
    from headwater.traces import Tell


def _own_name() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64].lstrip("-_.") or "device"


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """What a device needs to know."""

    source: str
    """A folder, picture or video; a camera number; rtsp://…; "gst:PIPELINE"; or pattern:640x480."""
    bundle: str = "litter"
    """The model: a bundle's name or folder, or a .tflite file."""
    split: str = "auto"
    """How far the device computes: auto (chosen again and again by what the stream shows), image (send the picture),
    a cut point, or device (finish here)."""
    codec: str = "auto"
    """How it travels: auto (what the bundle measured, else lossless), float32, float16, uint8, native or one of these
    with +zstd; png, jpeg:90. With --split auto, auto tries jpeg:90, too."""
    crop: CropName | None = None
    """What of a picture the model sees; what it was trained with when left out."""
    region: str | None = None
    """LEFT,TOP,WIDTH,HEIGHT in shares of the picture: what is seen, or where faces are sought."""
    max_faces: int | None = None
    """The most faces of one picture that are looked at, the largest; 8, or what a message holds, when left out."""
    report: Report = "all"
    """Frames to send when the device finishes: all, or only those that show what the model looks for."""
    rate: float | None = None
    """Pictures a second; as fast as the source gives them when left out."""
    loop: bool = False
    """Begin again when the source ends."""
    frames: int | None = None
    """Stop after this many pictures."""
    location: str | None = None
    """Positions: exif, gpx:FILE, gpsd[:HOST:PORT], LATITUDE,LONGITUDE; what the pictures carry when left out."""
    name: str = _own_name()
    """The device's name."""
    fleet: str = "demo"
    """The fleet it belongs to."""
    broker: str = "mqtt://127.0.0.1:1883"
    """The broker's address, mqtt:// or mqtts://."""
    user: Annotated[BrokerUser, Parameter(name="*")] = NOBODY
    spool: Path = Path("~/.local/state/headwater")
    """The folder of the disk queue."""
    spool_bytes: int = 268_435_456
    """The most that the disk queue may hold."""
    max_frame_bytes: int = 4_000_000
    """Longer messages are dropped as too_large: no more than the --max-frame-bytes of the workers."""
    window: int = 32
    """The most frames sent and not yet confirmed."""
    timeout: float = 10.0
    """Seconds without a result after which a frame is sent again."""
    expire: float | None = None
    """Seconds from its capture after which a frame is no longer worth sending; the broker is told, too."""
    keeping: Annotated[Keeping, Parameter(name="*")] = field(default_factory=Keeping)
    """What becomes of frames that nobody takes for a while."""
    drain: float = 5.0
    """Seconds to wait for results when told to stop; what is left stays in the spool."""
    wanted: Annotated[Preferences, Parameter(name="*")] = field(default_factory=Preferences)
    """What counts with --split auto, what it may cost, and what must not happen."""
    threads: int = max(1, min(4, os.cpu_count() or 1))
    """LiteRT threads."""
    log_level: Level = "warning"
    """What goes to stderr."""
    log_format: LogFormat = "text"
    """Lines of text, or one JSON object a line."""
    metrics: str | None = None
    """[HOST:]PORT where GET /metrics and GET /health are answered; a bare port is this machine's alone."""
    unwell_after: float = UNWELL_AFTER_S
    """Seconds without a picture, or with one in the head, before /health answers 503."""
    traces: str | None = None
    """http[s]://HOST[:PORT] of an OpenTelemetry collector that is told of frames and their stages; the extra traces."""
    trace_share: float = 1.0
    """The share of frames that it is told of, 0 to 1; workers and the site do as the device decides."""
    home_assistant: bool | None = None
    """Tell Home Assistant of this device, so that it appears there by itself; --no-home-assistant takes that back."""
    home_assistant_prefix: str = "homeassistant"
    """The discovery prefix that Home Assistant is set to."""


def edge(*, settings: Annotated[EdgeSettings, Parameter(name="*")], json: bool = False) -> None:
    """Run a device: take pictures, compute up to the split, send the rest, and wait for every result.

    Example: headwater edge --source /dev/video0 --split block_5_add --broker mqtt://broker.local

    Example: headwater edge --source pictures/ --rate 2 --location gpx:walk.gpx --split device --report positive

    Args:
        json: print the run's figures as one JSON object at the end
    """
    from headwater.session import Address

    configure_logging(settings.log_level, settings.log_format)
    check_settings(settings)
    address = Address.of(settings.broker, settings.user)
    with collected(settings.traces, Teller("edge", settings.name)) as tell:
        device = build_device(settings, tell)
        _log_settings(settings)
        stop = threading.Event()
        _stop_on_signals(stop)
        ready = f"ready device {settings.name}"
        summary = device.run(address, stop, lambda: print(ready, flush=True), _in_sight(settings))
        _print(summary, as_json=json)


def build_device(settings: EdgeSettings, tell: Tell | None = None) -> Device:
    """Return the device that the settings describe, with its spool open and its source checked; `tell` takes spans."""
    from edge.crop import crop_of
    from edge.device import Device
    from edge.location import open_location
    from edge.plan import Bounds, Plan
    from edge.sources import open_source
    from edge.spool import Spool
    from headwater.topics import Topics, checked_name
    from models.bundle import Bundle
    from models.engine import Engine

    name, fleet = checked_name("name", settings.name), checked_name("fleet", settings.fleet)
    bundle = Bundle.load(settings.bundle)
    engine = Engine(bundle.model_path, threads=settings.threads, outputs=bundle.finals)
    crop = crop_of(bundle, settings.crop, settings.region, settings.max_faces)
    size = crop.size_to_decode(bundle.input.width, bundle.input.height)
    source = open_source(settings.source, rate=settings.rate, loop=settings.loop, at_least=size)
    limits = Bounds(
        settings.frames,
        settings.window,
        settings.timeout,
        settings.expire,
        settings.max_frame_bytes,
        settings.drain,
        settings.rate,
        settings.keeping,
    )
    place = settings.spool.expanduser() / fleet
    return Device(
        name,
        Topics(fleet),
        bundle,
        engine,
        Plan(settings.split, settings.codec, settings.report),
        source,
        open_location(settings.location),
        Spool(place / f"{name}.sqlite", settings.spool_bytes, settings.keeping.durable),
        limits,
        crop,
        _auto(settings, place / f"{name}.decisions.jsonl"),
        _tracing(settings, tell),
    )


def _tracing(settings: EdgeSettings, tell: Tell | None) -> Tracing | None:
    from edge.traces import Tracing

    return None if tell is None else Tracing(tell, settings.trace_share)


def _auto(settings: EdgeSettings, decisions: Path) -> Auto:
    """Return what is wanted of `--split auto`, which an operator may ask for later, too."""
    from edge.profile import Order, cache_folder
    from edge.scheduler import Auto
    from edge.splits import codecs_to_try
    from planning.decide import check_limits
    from planning.live import Policy

    wanted = settings.wanted
    rates, limits = rates_wanted(wanted.charged), limits_wanted(wanted)
    check_limits(limits, rates)
    order = Order(
        str(settings.bundle),
        settings.threads,
        codecs_to_try(settings.codec),
        settings.crop,
        settings.region,
        settings.max_faces,
    )
    return Auto(order, Policy(wanted.weight, wanted.method, limits), rates, cache_folder(), decisions)


def _in_sight(settings: EdgeSettings) -> InSight:
    """Return what tells of the device at --metrics and to Home Assistant; what it does not need is not loaded."""
    from edge.parts import together

    telling: list[InSight] = []
    if settings.metrics is not None:
        from edge.figures import in_sight

        telling.append(in_sight(settings.metrics, settings.unwell_after))
    if settings.home_assistant is not None:
        from edge.home_assistant import announcing
        from headwater.topics import Topics

        prefix, wanted = settings.home_assistant_prefix, settings.home_assistant
        telling.append(announcing(prefix, Topics(settings.fleet), wanted=wanted))
    return together(*telling)


def _stop_on_signals(stop: threading.Event) -> None:
    """Make the first SIGINT or SIGTERM set `stop`, and further ones nothing.

    A second one that came while the first handler was inside `set` would wait for ever for the lock that it holds.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def ask(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        stop.set()

    for number in numbers:
        signal.signal(number, ask)


def _log_settings(settings: EdgeSettings) -> None:
    import logging

    logging.getLogger(__name__).info(settings_line(settings))


def _print(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json_text.dumps(summary), flush=True)
        return
    finished = summary["finished"]
    recovered = f", recovered {summary['recovered']}" if summary["recovered"] else ""
    print(
        f"captured {summary['captured']}{recovered}, "
        f"finished {finished['device']} on the device and {finished['worker']} by workers, "
        f"dropped {sum(summary['dropped'].values())}, in flight {summary['in_flight']}"
    )
