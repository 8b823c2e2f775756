"""This process on a share of a processor core, as on a slower clock: the kernel's CPU quota. For root, on Linux."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from headwater.errors import SettingsError

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")
PERIOD_US: Final = 100_000
"""The kernel's own. Shorter ones leave the caches cold after every pause: on a tenth of a core mnist's heads took 7 %
longer in the median than ten times their own time with this one, 14 % with 50 ms, 39 % with 10 ms."""
LEAST_QUOTA_US: Final = 1_000
"""The kernel takes no less. Source: Linux, Documentation/scheduler/sched-bwc.rst."""


def quota_us(share: float, period_us: int = PERIOD_US) -> tuple[int, int]:
    """Return the time to compute and the period that make a share of one core; the period grows where it must."""
    if not 0.001 <= share <= 1:
        raise SettingsError(f"a share of {share:g} of a core is asked for, expected 0.001 to 1")
    quota = max(LEAST_QUOTA_US, round(period_us * share))
    return quota, round(quota / share)


class SlowCpu:
    """A group of processes of our own, with a quota; this process is in it while `at` holds."""

    def __init__(self, root: Path = ROOT, own: Path = OWN) -> None:
        """Raises: SettingsError where there is no such control, or no right to it."""
        self._one = (root / "cgroup.controllers").is_file()
        self._base = root if self._one else root / "cpu"
        self._home = self._base / _group(own, self._one).lstrip("/")
        self._folder = self._base / f"headwater-{os.getpid()}"
        try:
            if self._one:
                (root / "cgroup.subtree_control").write_text("+cpu")
            self._folder.mkdir()
        except OSError as error:
            raise SettingsError(
                f"a slower clock needs a CPU quota, and {self._folder} cannot be made ({error.strerror}); "
                "run as root on a Linux with the cpu control group"
            ) from error

    def hold(self, pid: int, share: float, period_us: int = PERIOD_US) -> None:
        """Hold a process, with all its threads and what it starts, to a share of one core.

        In a short period no frame passes on what was saved up before it, at the price of colder caches.
        """
        quota, period = quota_us(share, period_us)
        if self._one:
            (self._folder / "cpu.max").write_text(f"{quota} {period}")
        else:
            (self._folder / "cpu.cfs_quota_us").write_text("-1")  # so that any period is allowed
            (self._folder / "cpu.cfs_period_us").write_text(str(period))
            (self._folder / "cpu.cfs_quota_us").write_text(str(quota))
        (self._folder / "cgroup.procs").write_text(str(pid))

    @contextmanager
    def at(self, share: float) -> Iterator[None]:
        """Hold this process to a share of one core meanwhile."""
        self.hold(os.getpid(), share)
        try:
            yield
        finally:
            (self._home / "cgroup.procs").write_text(str(os.getpid()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.rmdir()


def _group(own: Path, is_unified: bool) -> str:
    """Return the group of this process, as the kernel lists it: `number:controllers:path`."""
    for line in own.read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if (number == "0" and is_unified) or "cpu" in controllers.split(","):
            return path
    return "/"
