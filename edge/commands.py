"""The command `headwater edge`."""

from __future__ import annotations

import json as json_text
import os
import re
import signal
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from headwater.errors import SettingsError
from headwater.logs import Level, configure_logging, settings_line

if TYPE_CHECKING:
    from edge.device import Device


def _own_name() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64].lstrip("-_.") or "device"


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """What a device needs to know."""

    source: str
    """A folder, picture or video; a camera number; rtsp://…; "gst:PIPELINE"; or pattern:640x480."""
    bundle: str = "litter"
    """The model: a bundle's name or folder, or a .tflite file."""
    split: str = "device"
    """How far the device computes: image (send the picture), a cut point, or device (finish here)."""
    codec: str = "auto"
    """How it travels: auto (nothing is lost), float32, float16, uint8, native, each also with +zstd; png, jpeg:90."""
    report: Literal["all", "positive"] = "all"
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
    username: str | None = None
    """Who we are to the broker."""
    password: str | None = None
    """Better given as HEADWATER_PASSWORD than as a flag."""
    ca_file: Path | None = None
    """The authority that signed the broker's certificate."""
    certificate: Path | None = None
    """Our own certificate."""
    key: Path | None = None
    """The key of our certificate."""
    spool: Path = Path("~/.local/state/headwater")
    """The folder of the disk queue."""
    spool_bytes: int = 268_435_456
    """The most that the disk queue may hold."""
    window: int = 32
    """The most frames sent and not yet confirmed."""
    timeout: float = 10.0
    """Seconds without a result after which a frame is sent again."""
    expire: float | None = None
    """Seconds after which a frame is no longer worth sending."""
    drain: float = 5.0
    """Seconds to wait for results when told to stop; what is left stays in the spool."""
    threads: int = max(1, min(4, os.cpu_count() or 1))
    """LiteRT threads."""
    log_level: Level = "warning"
    """What goes to stderr."""


def edge(*, settings: Annotated[EdgeSettings, Parameter(name="*")], json: bool = False) -> None:
    """Run a device: take pictures, compute up to the split, send the rest, and wait for every result.

    Example: headwater edge --source /dev/video0 --split block_5_add --broker mqtt://broker.local

    Example: headwater edge --source pictures/ --rate 2 --location gpx:walk.gpx --split device --report positive

    Args:
        json: print the run's figures as one JSON object at the end
    """
    from headwater.session import Address

    configure_logging(settings.log_level)
    _check(settings)
    address = Address.parse(
        settings.broker,
        username=settings.username,
        password=settings.password,
        ca_file=settings.ca_file,
        certificate=settings.certificate,
        key=settings.key,
    )
    device = build_device(settings)
    _log_settings(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    summary = device.run(address, stop, lambda: print(f"ready device {settings.name}", flush=True))
    _print(summary, as_json=json)


def build_device(settings: EdgeSettings) -> Device:
    """Return the device that the settings describe, with its spool open and its source checked."""
    from edge.device import Device, Limits, Plan
    from edge.location import open_location
    from edge.sources import open_source
    from edge.spool import Spool
    from headwater.topics import Topics, checked_name
    from models.bundle import Bundle
    from models.engine import Engine

    name, fleet = checked_name("name", settings.name), checked_name("fleet", settings.fleet)
    bundle = Bundle.load(settings.bundle)
    engine = Engine(bundle.model_path, threads=settings.threads)
    size = (bundle.input.width, bundle.input.height)
    source = open_source(settings.source, rate=settings.rate, loop=settings.loop, at_least=size)
    limits = Limits(
        settings.frames, settings.window, settings.timeout, settings.expire, 2 * settings.spool_bytes, settings.drain
    )
    return Device(
        name,
        Topics(fleet),
        bundle,
        engine,
        Plan(settings.split, settings.codec, settings.report),
        source,
        open_location(settings.location),
        Spool(settings.spool.expanduser() / fleet / f"{name}.sqlite", settings.spool_bytes),
        limits,
    )


def _check(settings: EdgeSettings) -> None:
    for name in ("rate", "frames", "spool_bytes", "window", "timeout", "expire", "threads"):
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise SettingsError(f"{name.replace('_', '-')}: got {value}, expected more than 0")


def _log_settings(settings: EdgeSettings) -> None:
    import logging

    logging.getLogger(__name__).info(settings_line(settings))


def _print(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json_text.dumps(summary), flush=True)
        return
    finished = summary["finished"]
    print(
        f"captured {summary['captured']}, "
        f"finished {finished['device']} on the device and {finished['worker']} by workers, "
        f"dropped {sum(summary['dropped'].values())}, in flight {summary['in_flight']}"
    )
