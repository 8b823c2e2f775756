"""The whole system on one machine, as real processes: broker, store, workers, device and site."""

from __future__ import annotations

import importlib.util
import json as json_text
import os
import socket
import sys
import tempfile
import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from headwater.address import BrokerUser
from headwater.children import Child, own_command, start
from headwater.errors import ChildError, MissingPart, SettingsError
from headwater.fields import Report
from headwater.logs import Level
from headwater.settings import PREFIX, variable
from headwater.stopping import interrupt_on_signals
from headwater.traces import check_traces

LITTER: Final = "litter"
LITTER_SPLIT: Final = "block_13_project"
"""The cut that the demo shows: the last of the narrow ones, 4,000 values, where most of the work is done."""
CHATTER: Final = ("INFO: Created TensorFlow Lite", "INFO: [", "WARNING: Logging before InitGoogle", "W0000 00:00:")
"""How lines begin that LiteRT and mediapipe write to stderr in spite of every setting."""
START_S: Final = 60.0
STOP_S: Final = 20.0
POLL_S: Final = 0.05
DEFAULT_SITE_PORT: Final = 8050
PHOTOGRAPHS: Final = (
    ("skimage", "data", ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")),
    ("sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
)
"""Real photographs inside pip packages: (package, folder, files)."""
MADE_UP_WALK: Final = "walk:43.4633,11.8796?speed=10"
"""Where the device of the demo pretends to be: Arezzo. Its positions are marked as made up."""


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What to show, and how."""

    source: str | None = None
    """Pictures: a folder, video, camera number, rtsp://… or gst:…; photographs from pip packages when left out."""
    split: str | None = None
    """How far the device computes: image (send the picture), a cut point, or device; a cut of the litter model."""
    codec: str = "auto"
    """How it travels: auto (nothing is lost), float16, uint8+zstd, …; with split image also png, jpeg:90."""
    bundle: str = LITTER
    """The model: a bundle's name or folder, or a .tflite file."""
    crop: Literal["none", "centre", "region", "face"] | None = None
    """What of a picture the model sees; what it was trained with when left out."""
    region: str | None = None
    """LEFT,TOP,WIDTH,HEIGHT in shares of the picture: what is seen, or where faces are sought."""
    max_faces: int | None = None
    """The most faces of one picture that are looked at, the largest; 8, or what a message holds, when left out."""
    report: Report = "all"
    """Frames to send when the device finishes: all, or only those that show what the model looks for."""
    location: str | None = None
    """Positions: exif, gpx:FILE, gpsd, LATITUDE,LONGITUDE; a made-up walk goes with the built-in photographs."""
    workers: int = 1
    """How many cloud workers share the frames."""
    frames: int | None = None
    """Stop after this many frames; until Ctrl-C when left out."""
    rate: float = 4.0
    """Pictures a second."""
    visualizer: bool = True
    """Show the site."""
    port: int | None = None
    """The site's port; 8050, or a free one when that is taken."""
    broker: str | None = None
    """Use this broker (mqtt://…) instead of starting one."""
    store: str | None = None
    """Use this store (redis://…) instead of starting one."""
    fleet: str = "demo"
    """The fleet's name."""
    log_level: Level = "warning"
    """What the processes say on stderr."""
    traces: str | None = None
    """http[s]://HOST[:PORT] of an OpenTelemetry collector that is told of every frame; the extra traces."""


def demo(*, settings: Annotated[DemoSettings, Parameter(name="*")] = DemoSettings(), json: bool = False) -> None:
    """Run the whole system on this machine and show the live map.

    Starts a broker (mosquitto if installed, else iotcore from pip), a store (Valkey from pip), workers, one device and
    the site, each as a process of its own; stops them all on Ctrl-C. What these are told is said here: they read no
    settings file and no variables, but with a --broker of yours HEADWATER_USERNAME, _PASSWORD, _CA_FILE, … of it.

    Example: headwater demo

    Example: headwater demo --source pictures/ --split block_5_add --workers 2 --frames 100 --json

    Args:
        json: print the run's figures as one JSON object on the last line, and nothing else on stdout
    """
    _check(settings)
    interrupt_on_signals()
    console = Console(stderr=json, highlight=False, soft_wrap=True)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="headwater-")))
        source, location = _pictures(settings, folder)
        parts = Parts(running, withheld(os.environ, settings.broker is not None, settings.store is not None))
        device = _start_all(settings, folder, source, location, parts, console)
        console.print("The stream runs. Ctrl-C stops everything.")
        summary = _until_the_end(device, parts)
    if json:
        sys.stdout.write(json_text.dumps(summary) + "\n")
    else:
        _print_summary(summary, console)


class Parts:
    """The processes of the demo, stopped when `running` closes, the last one first."""

    def __init__(self, running: ExitStack, without: Collection[str]) -> None:
        self._running, self._without = running, without
        self._needed: list[Child] = []
        self._workers: list[Child] = []

    def start(self, name: str, *arguments: str) -> Child:
        """Return a running `headwater` command that is told these arguments and nothing else."""
        child = start(name, own_command(*arguments), hide=CHATTER, without=self._without)
        self._running.callback(child.stop, STOP_S)
        if arguments[0] != "edge":
            (self._workers if arguments[0] == "worker" else self._needed).append(child)
        return child

    def check(self) -> None:
        """Pass if the device is still served; warn once of a worker that is gone. Raises: ChildError."""
        for child in [child for child in (*self._needed, *self._workers) if not child.alive]:
            error = _ended(child)
            if child in self._needed or len(self._workers) == 1:
                raise error
            self._workers.remove(child)
            sys.stderr.write(f"headwater: warning: {error}; the stream goes on, workers left: {len(self._workers)}\n")


def _ended(child: Child) -> ChildError:
    what = f"ended with status {child.wait(STOP_S)} while the stream ran (--log-level info tells more)"
    return ChildError(child.name, what, child.last_words())


def withheld(variables: Iterable[str], own_broker: bool = False, own_store: bool = False) -> set[str]:
    """Return which variables the parts do not get: all settings but the way into servers of the user's own."""
    kept = {variable(one.name) for one in fields(BrokerUser)} if own_broker else set()
    kept |= {variable("store-password-file")} if own_store else set()
    return {name for name in variables if name.startswith(PREFIX)} - kept


def _check(settings: DemoSettings) -> None:
    for name in ("workers", "frames", "rate"):
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise SettingsError(f"{name}: got {value}, expected more than 0")
    check_traces(settings.traces)


def _pictures(settings: DemoSettings, folder: Path) -> tuple[str, str | None]:
    """Return the source of pictures and of positions."""
    if settings.source is not None:
        return settings.source, settings.location
    pictures = folder / "pictures"
    pictures.mkdir()
    for path in built_in_photographs():
        (pictures / path.name).symlink_to(path)
    return str(pictures), settings.location or MADE_UP_WALK


def built_in_photographs() -> list[Path]:
    """Return the photographs that lie inside pip packages, found without importing these. Raises: MissingPart."""
    found = []
    for package, folder, names in PHOTOGRAPHS:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += [path for name in names if (path := Path(place) / folder / name).is_file()]
    if not found:
        raise MissingPart(
            "scikit-image", "the photographs of the demo", "give --source, or install the extra demo (docs/install.md)"
        )
    return found


def _start_all(
    settings: DemoSettings,
    folder: Path,
    source: str,
    location: str | None,
    parts: Parts,
    console: Console,
) -> Child:
    """Start everything, each part as soon as what it needs is there, the device last; return the device."""
    common = ["--fleet", settings.fleet, "--log-level", settings.log_level]
    common += ["--traces", settings.traces] if settings.traces else []
    broker, store = _start_servers(settings, folder, parts)
    at = ["--broker", broker, "--store", store, *_bundle_folder(settings.bundle)]
    names = [f"worker-{n}" for n in range(1, settings.workers + 1)]
    workers = [parts.start(name, "worker", "--processes", "1", "--name", name, *at, *common) for name in names]
    for worker in workers:
        worker.wait_for_line("ready", START_S)
    if settings.visualizer:
        port = str(settings.port or _site_port())
        site = parts.start("visualizer", "visualizer", "--broker", broker, "--store", store, "--port", port, *common)
        line = site.wait_for_line("listening", START_S)
        console.print(f"The live map: [bold]{line.split()[1]}[/bold]")
    arguments = _device_arguments(settings, folder, source, location)
    device = parts.start("device", *arguments, "--broker", broker, *common)
    device.wait_for_line("ready", START_S)
    return device


def _bundle_folder(bundle: str) -> list[str]:
    """Return what a worker must be told so that it finds a bundle that is not a shipped one."""
    path = Path(bundle)
    if path.is_dir():
        return ["--bundles", str(path)]
    return ["--bundles", str(path.parent)] if path.is_file() else []


def _start_servers(settings: DemoSettings, folder: Path, parts: Parts) -> tuple[str, str]:
    """Return the addresses of broker and store, started here unless given."""
    broker, store = settings.broker, settings.store
    own_broker = own_store = None
    if broker is None:
        own_broker = parts.start("broker", "broker", "run", "--port", "0", "--folder", str(folder / "broker"))
    if store is None:
        arguments = ["store", "run", "--port", "0", "--folder", str(folder / "store"), "--no-append-only"]
        own_store = parts.start("store", *arguments)
    if own_broker is not None:
        broker = own_broker.wait_for_line("listening", START_S).split()[1]
    if own_store is not None:
        store = own_store.wait_for_line("listening", START_S).split()[1]
    return str(broker), str(store)


def _device_arguments(settings: DemoSettings, folder: Path, source: str, location: str | None) -> list[str]:
    split = settings.split or (LITTER_SPLIT if settings.bundle == LITTER else "device")
    optional = {"--location": location, "--frames": settings.frames}
    optional |= {"--crop": settings.crop, "--region": settings.region, "--max-faces": settings.max_faces}
    chosen = [text for flag, value in optional.items() if value is not None for text in (flag, str(value))]
    return [
        *("edge", "--source", source, "--loop", "--rate", str(settings.rate), "--name", "camera-1", "--json"),
        *("--split", split, "--codec", settings.codec, "--bundle", settings.bundle),
        *("--report", settings.report, "--spool", str(folder / "spool"), *chosen),
    ]


def _site_port() -> int:
    """Return the site's usual port, or a free one when something else listens there."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", DEFAULT_SITE_PORT))
        except OSError:
            trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def _until_the_end(device: Child, parts: Parts) -> dict[str, Any]:
    """Return the device's figures once it has ended by itself or by Ctrl-C. Raises: ChildError."""
    try:
        while device.alive:
            parts.check()
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        device.stop(STOP_S)
    line = device.wait_for_line("{", STOP_S)
    status = device.wait(STOP_S)
    if status != 0:
        raise ChildError(device.name, f"ended with status {status}", device.last_words())
    summary: dict[str, Any] = json_text.loads(line)
    return summary


def _print_summary(summary: dict[str, Any], console: Console) -> None:
    finished, dropped = summary["finished"], summary["dropped"]
    reasons = "".join(f" ({n} {reason})" for reason, n in dropped.items())
    console.print(
        f"{summary['captured']} captured, "
        f"{finished['device']} finished on the device, {finished['worker']} by workers, "
        f"{sum(dropped.values())} dropped{reasons}, {summary['in_flight']} in flight; "
        f"{summary['bytes_per_frame']:,.0f} bytes a frame"
    )
    table = Table("stage, ms", *(f"p{p}" for p in (50, 95, 99)), box=None)
    for stage, times in summary["stages_ms"].items():
        table.add_row(stage, *(f"{times[p]:.2f}" for p in ("p50", "p95", "p99")))
    console.print(table)
