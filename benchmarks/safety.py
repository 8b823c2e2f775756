"""What safety costs: frames a second of the whole stream with and without a durable spool, with and without TLS.

The two of a pair take turns, round after round, so that a drifting machine is fair to both. TLS is mutual, from device
to broker and on to the worker; of one broker's two listeners and the two workers behind them one pair has it. The spool
lies below this folder, on its disk: in memory a promise to survive a power cut costs nothing and is worth nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from benchmarks.installation import START_S, Installation, headwater, network_pictures, run_device, server
from benchmarks.measure import Row, median_ms
from broker.authority import Wanted
from broker.certificate_folder import CertificateFolder
from broker.embedded import find_mosquitto, mosquitto_configuration
from headwater.children import Child, start
from headwater.probes import free_port
from models.bundle import Bundle

ROUNDS, FRAMES = 7, 800
GOAL = 0.9
DURABLE = ("power", "process")
"""Each is held against `off`: what survives a power cut, what survives the death of the process, and nothing."""
HOST = "127.0.0.1"
DAYS = 2
SPOOLS = Path(".cache/bench")
SYNCED_BYTES = 16_384


@dataclass(frozen=True)
class Way:
    """One way to run the device."""

    at: Installation
    flags: tuple[str, ...]


def run() -> list[Row]:
    """Return, for a picture and for a cut in the middle, the ratios of safe to unsafe."""
    if find_mosquitto() is None:
        sys.stderr.write("safety: left out, for it needs mosquitto; apt install mosquitto\n")
        return []
    bundle = Bundle.load("litter")
    rows = [Row("fdatasync of 16 kB in this folder", _sync_ms(), "ms")]
    with both_installations() as (plain, encrypted, tls_flags):
        pictures = network_pictures(plain.folder, bundle.input.width, bundle.input.height)
        for split in ("image", bundle.cut_points[len(bundle.cut_points) // 2]):
            common = ("--split", split, "--frames", str(FRAMES), *(("--codec", "jpeg:90") if split == "image" else ()))
            for durable in DURABLE:
                ways = [Way(plain, (*common, "--durable", one)) for one in (durable, "off")]
                rows += _pair(f"split {split}: spool durable {durable}", f"split {split}: spool off", ways, pictures)
            ways = [Way(encrypted, (*common, *tls_flags)), Way(plain, common)]
            rows += _pair(f"split {split}: TLS", f"split {split}: no TLS", ways, pictures)
    return rows


def _sync_ms() -> float:
    """Return how long this folder's disk takes to promise that something is kept."""
    SPOOLS.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=SPOOLS) as file:

        def write() -> None:
            file.write(bytes(SYNCED_BYTES))
            file.flush()
            os.fdatasync(file.fileno())

        return median_ms(write, 100, 10)


def _pair(safe: str, unsafe: str, ways: Sequence[Way], pictures: Path) -> list[Row]:
    """Return the rates of two ways that take turns, and the median of their ratios, round by round."""
    rates: list[tuple[float, float]] = []
    for number in range(ROUNDS + 1):
        order = (0, 1) if number % 2 else (1, 0)
        found = {place: _frames_per_s(ways[place], pictures) for place in order}
        if number:  # the first round warms up
            rates.append((found[0], found[1]))
    ratios = [with_ / without for with_, without in rates]
    return [
        Row(safe, statistics.median(rate for rate, _ in rates), "/s"),
        Row(unsafe, statistics.median(rate for _, rate in rates), "/s"),
        Row(f"{safe} / {unsafe.rpartition(': ')[2]}", statistics.median(ratios), "×", GOAL, "higher"),
    ]


def _frames_per_s(way: Way, pictures: Path) -> float:
    figures, _ = run_device(way.at, pictures, *way.flags)
    found: float = figures["frames_per_s"]
    return found


@contextmanager
def both_installations() -> Iterator[tuple[Installation, Installation, tuple[str, ...]]]:
    """Run one broker with two listeners, a store and a worker at each listener.

    Yield the plain installation, the one with TLS, and the flags by which a device gets into the second.
    """
    running: list[Child] = []
    SPOOLS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="safety-", dir=SPOOLS) as name:
        folder = Path(name).absolute()
        try:
            made = certificates(folder / "tls")
            plain_url, tls_url = _broker(folder, made, running)
            store = server("store", folder, running)
            device, worker = _tls_flags(made, "device"), _tls_flags(made, "worker")
            workers = [("demo", plain_url, ()), ("safe", tls_url, worker)]
            for fleet, url, flags in workers:
                at = ["--broker", url, "--store", store, "--name", f"worker-{fleet}", "--fleet", fleet, *flags]
                running.append(headwater("worker", "worker", "--processes", "1", *at))
                running[-1].wait_for_line("ready", START_S)
            plain = Installation(plain_url, store, running[2:], folder)
            yield plain, replace(plain, broker=tls_url), ("--fleet", "safe", *device)
        finally:
            for child in reversed(running):
                child.stop()


def _broker(folder: Path, made: Path, running: list[Child]) -> tuple[str, str]:
    """Start mosquitto with a plain listener and one with mutual TLS; return both addresses."""
    place = folder / "broker"
    place.mkdir()
    plain, encrypted = free_port(HOST), free_port(HOST)
    tls = [
        f"listener {encrypted} {HOST}",
        f"cafile {made / 'ca.pem'}",
        f"certfile {made / 'broker.pem'}",
        f"keyfile {made / 'broker.key'}",
        "require_certificate true",
    ]
    configuration = place / "mosquitto.conf"
    configuration.write_text("\n".join([mosquitto_configuration(HOST, plain, place), *tls, ""]))
    running.append(
        start("broker", [find_mosquitto() or "mosquitto", "-c", configuration], log=place / "log", lines=False)
    )
    return f"mqtt://{HOST}:{plain}", f"mqtts://{HOST}:{encrypted}"


def _tls_flags(made: Path, name: str) -> tuple[str, ...]:
    files = {"--ca-file": "ca.pem", "--certificate": f"{name}.pem", "--key": f"{name}.key"}
    return tuple(word for flag, file in files.items() for word in (flag, str(made / file)))


def certificates(folder: Path) -> Path:
    """Make an authority, and certificates of a broker, a worker and a device; return the folder."""
    place, now = CertificateFolder(folder), datetime.now(UTC).replace(microsecond=0)
    place.begin(now, DAYS)
    for wanted in (Wanted("broker", "server", (HOST,)), Wanted("worker", "client"), Wanted("device", "client")):
        place.add(wanted, now, DAYS - 1)
    return folder
