"""Facts of this machine, each None where it cannot be known."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Source: adjtimex(2): modes 0 only reads; 5 is TIME_ERROR, a clock that nothing synchronises.
_TIMEX_BYTES, _TIME_ERROR = 512, 5
SYSTEMD_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
CORES = Path("/sys/devices/system/cpu")
CLOCK_KHZ = "cpu[0-9]*/cpufreq/scaling_cur_freq"
CPUINFO = Path("/proc/cpuinfo")
THERMAL = Path("/sys/class/thermal")
CGROUPS = Path("/sys/fs/cgroup")
MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin")


def package_version(name: str) -> str | None:
    """Return the version of an installed Python package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def program(name: str) -> str | None:
    """Return the path of a program, looked for in the system's folders, too."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *MORE_FOLDERS)))


@contextmanager
def importing() -> Iterator[None]:
    """Import much in the block: a fifth less of time passes without looking for garbage, of which there is none.

    What is there at its end stays, and is not looked through later.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()


def first_line(*command: str, timeout_s: float = 5.0) -> str | None:
    """Return the first line that a program prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter((done.stdout or done.stderr).splitlines()), None)


def clock_hz() -> float | None:
    """Return the present clock of the fastest processor core, as the kernel knows it: others may rest."""
    found = [hertz for path in CORES.glob(CLOCK_KHZ) if (hertz := _read_hertz(path)) is not None]
    if found:
        return max(found)
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    shown = [_over_0(line.partition(":")[2], 1e6) for line in lines if line.startswith("cpu MHz")]
    return max((hertz for hertz in shown if hertz is not None), default=None)


def _read_hertz(path: Path) -> float | None:
    try:
        return _over_0(path.read_text(), 1e3)
    except OSError:
        return None


def temperature_c() -> float | None:
    """Return the temperature of the hottest part that the kernel knows of, in degrees Celsius."""
    found = []
    for path in THERMAL.glob("thermal_zone*/temp"):
        try:
            found.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):
            continue
    return max(found, default=None)


def _over_0(text: str, unit: float) -> float | None:
    try:
        value = float(text) * unit
    except ValueError:
        return None
    return value if value > 0 else None


def processor() -> str:
    """Return the processor's name, or at least its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    for key in ("model name", "Model", "Hardware"):
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key and value.strip():
                return value.strip()
    return platform.machine()


def usable_cores() -> int:
    """Return how many whole processor cores this process may use, at least 1; a container's quota counts, too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return how many cores' time the control groups of this process allow it, None for no limit.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "cpu.max"; cgroup v1: cpu.cfs_quota_us, cpu.cfs_period_us.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found += _quotas(root, path, ("cpu.max",))
        elif "cpu" in controllers.split(","):
            found += _quotas(root / controllers, path, ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return min(found, default=None)


def _quotas(root: Path, path: str, names: tuple[str, ...]) -> list[float]:
    """Return the quotas of a group and of all above it, in cores."""
    found, group = [], root / path.lstrip("/")
    for folder in (group, *group.parents):
        words = _words(folder, names)
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            found.append(int(words[0]) / int(words[1]))
        if folder == root:
            break
    return found


def _words(folder: Path, names: tuple[str, ...]) -> list[str]:
    try:
        return [word for name in names for word in (folder / name).read_text().split()]
    except OSError:
        return []


def memory_bytes() -> tuple[int, int] | None:
    """Return the machine's memory and how much of it is available."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    if not {"MemTotal", "MemAvailable"} <= found.keys():
        return None
    return found["MemTotal"], found["MemAvailable"]


def clock_synchronised() -> bool | None:
    """Return whether something keeps this machine's clock right."""
    if SYSTEMD_SYNCHRONISED.exists():
        return True
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def free_disk_bytes(folder: Path) -> int | None:
    """Return the room for a folder that may not exist yet, None where this user may not write."""
    place = folder.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return None
    return shutil.disk_usage(place).free


def cameras() -> list[str]:
    """Return the camera devices, as in /dev/video0."""
    return sorted(str(path) for path in Path("/dev").glob("video*"))
