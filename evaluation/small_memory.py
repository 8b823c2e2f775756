"""A process that may have so much memory and no more: the kernel's control group. For root, on Linux."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from evaluation.slow_cpu import ROOT
from headwater.errors import SettingsError

_NUMBERS: Final = itertools.count()


class SmallMemory:
    """A group of processes of our own, with a limit of memory and no swap; commands are started in it."""

    def __init__(self, limit_bytes: int, root: Path = ROOT) -> None:
        """Raises: SettingsError where there is no such control, or no right to it."""
        self._one = (root / "cgroup.controllers").is_file()
        base = root if self._one else root / "memory"
        self._folder = base / f"headwater-{os.getpid()}-memory-{next(_NUMBERS)}"
        try:
            if self._one:
                (root / "cgroup.subtree_control").write_text("+memory")
            self._folder.mkdir()
            self._file("memory.max", "memory.limit_in_bytes").write_text(str(limit_bytes))
            with contextlib.suppress(OSError):  # a kernel without swap has no such file
                self._file("memory.swap.max", "memory.swappiness").write_text("0")
        except OSError as error:
            raise SettingsError(
                f"a device with {limit_bytes} B of memory needs {self._folder}, which cannot be made "
                f"({error.strerror}); run as root on a Linux with the memory control group, or leave such a device out"
            ) from error

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs in the group from its first byte on."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._folder / "cgroup.procs"), *command]

    @property
    def peak_bytes(self) -> int:
        """Return the most that the group had at once, 0 where the kernel does not say."""
        try:
            return int(self._file("memory.peak", "memory.max_usage_in_bytes").read_text())
        except (OSError, ValueError):
            return 0

    def _file(self, of_version_2: str, of_version_1: str) -> Path:
        return self._folder / (of_version_2 if self._one else of_version_1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.rmdir()
