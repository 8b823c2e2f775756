"""What `headwater autoscale` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloud_worker.autoscale.decide import Limits
from headwater.errors import SettingsError
from headwater.quantities import seconds

MOST_WORKERS = 1000
MOST_UNASKED: Final = 8
"""--max, where nobody gives it and the machine has so many cores."""


@dataclass(frozen=True, kw_only=True)
class AutoscaleSettings:
    """How long frames may wait, how many workers there may be, and whose."""

    target: str = "200ms"
    """How long frames may wait for a worker."""
    min: int = 1
    """The fewest workers, at least 1: the others are made like it."""
    max: int | None = None
    """The most workers; without it as many as the engine's machine has cores, at most 8."""
    project: str = "headwater"
    """The compose project."""
    service: str = "worker"
    """Its service to scale; no other container is touched."""
    interval: str = "5s"
    """How often the workers are looked at."""
    cool_down: str = "60s"
    """So long after a change none is made."""
    settle: str = "3min"
    """So long must fewer workers have been enough before there are fewer."""
    dry_run: bool = False
    """Say what would be done, and do nothing."""
    once: bool = False
    """Decide once, by three looks, and end; without waiting for --settle."""
    json: bool = False
    """Print every look as a JSON object on a line of its own, not only what is new."""

    @property
    def interval_s(self) -> float:
        """How often the workers are looked at."""
        return _duration("--interval", self.interval, 1.0)

    def limits(self, cores: int | None = None) -> Limits:
        """Return the numbers to decide by, on a machine of so many cores, if that is known. Raises: SettingsError."""
        most = max(self.min, min(MOST_UNASKED, cores or MOST_UNASKED)) if self.max is None else self.max
        if not 1 <= self.min <= most <= MOST_WORKERS:
            raise SettingsError(
                f"--min, --max: got {self.min} and {most}, expected 1 <= min <= max <= {MOST_WORKERS}; correct them"
            )
        return Limits(
            self.min,
            most,
            _duration("--target", self.target, 0.001),
            _duration("--cool-down", self.cool_down, 0.0),
            0.0 if self.once else _duration("--settle", self.settle, 0.0),
        )


def _duration(flag: str, text: str, least_s: float) -> float:
    found_s = seconds(flag, text)
    if found_s < least_s:
        raise SettingsError(f"{flag}: got {text}, expected at least {least_s:g}s; raise it")
    return found_s
