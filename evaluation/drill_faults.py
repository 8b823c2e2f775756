"""How each fault is done, and undone."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import redis

from evaluation.drill import Deed, Fault, Step
from evaluation.drill_parts import Camera
from evaluation.drill_place import WIDE_BITS_PER_S, Place
from evaluation.drill_relay import Relay
from evaluation.shaped_link import ShapedLink

LATE_S: Final = 0.15
"""Each way, so that a slow store answers twice as late."""
FAR_S: Final = 0.03
STALLS: Final = 0.01
"""Of the pieces that pass, so many stall, or break the line."""
NARROW_BITS_PER_S: Final = (7_200_000, 1_000_000)
"""The upload of papers/002's mobile network, and a poor one; blow by blow, by chance."""
PACKETS_LOST: Final = 0.1
FILE_BYTES: Final = 65_536
_CHUNK: Final = bytes(1 << 16)


class Breakable(Protocol):
    """A part that can be broken: a process or a server."""

    def begin(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def hang(self) -> None: ...
    def resume(self) -> None: ...


class How(NamedTuple):
    """What begins a fault and what ends it; both take the place and the step."""

    begin: Callable[[Place, Step], object]
    end: Callable[[Place, Step], object]


def do(at: Place, step: Step) -> None:
    """Do or undo one thing."""
    how = HOW[step.fault.deed]
    (how.begin if step.begins else how.end)(at, step)


def hit(at: Place, fault: Fault, which: int) -> list[Breakable]:
    """Return what a fault is done to: one of several workers, or all; the peer's half is hit with ours."""
    parts: dict[str, list[Any]] = {
        "device": [at.camera, at.publisher],
        "worker": [at.workers[which % len(at.workers)], at.subscriber],
        "workers": [*at.workers, at.subscriber],
        "broker": [at.broker],
        "store": [at.store],
        "site": [at.site],
    }
    return [part for part in parts[fault.part] if part is not None]


def _each(what: str) -> Callable[[Place, Step], object]:
    """Return what does this to every part that is hit."""
    return lambda at, step: [getattr(part, what)() for part in hit(at, step.fault, step.which)]


def _kill_hung(at: Place, step: Step) -> None:
    for part in hit(at, step.fault, step.which):
        part.kill()
        part.begin()


def _begin_without_memory_of_it(at: Place, _step: Step) -> None:
    """Start mosquitto as if it had never run."""
    if at.broker is not None:
        for kept in at.broker_folder.glob("*.db*"):
            kept.unlink()
        at.broker.begin()


def _limit_store(most_bytes: int | None) -> Callable[[Place, Step], object]:
    """Return what sets how much memory the store may use; None: as much as at its start."""

    def limit(at: Place, _step: Step) -> None:
        with redis.Redis.from_url(at.store_url) as store:
            store.config_set("maxmemory", at.store_memory_bytes if most_bytes is None else most_bytes)

    return limit


def _late(seconds: float) -> Callable[[Place, Step], object]:
    def set_delay(at: Place, step: Step) -> None:
        _relay(at, step.fault).delay_s = seconds

    return set_delay


def _lossy(share: float) -> Callable[[Place, Step], object]:
    def set_share(at: Place, step: Step) -> None:
        _relay(at, step.fault).stalls = share

    return set_share


def _relay(at: Place, fault: Fault) -> Relay:
    found = {"store": at.store_relay, "worker": at.worker_relay}.get(fault.part, at.relay)
    if found is None:
        raise LookupError(f"no relay to the {fault.part} in this drill")
    return found


def _link(at: Place) -> ShapedLink:
    if at.link is None:
        raise LookupError("no link between namespaces in this drill")
    return at.link


def _fill(at: Place, _step: Step) -> None:
    """Take all that is free on the disk of the spool, which only the device's own processes see."""
    with contextlib.suppress(OSError), _ballast(at).open("ab", buffering=0) as file:
        while file.write(_CHUNK) == len(_CHUNK):
            pass


def _make_room(at: Place, _step: Step) -> None:
    with contextlib.suppress(OSError):
        _ballast(at).unlink()


def _ballast(at: Place) -> Path:
    return Path(f"/proc/{_pid(at.camera)}/root{at.spool}/ballast")


def _limit_files(most_bytes: int) -> Callable[[Place, Step], object]:
    """Return what lets the device write so far into a file and no further."""

    def limit(at: Place, _step: Step) -> None:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(_pid(at.camera), resource.RLIMIT_FSIZE)
            resource.prlimit(_pid(at.camera), resource.RLIMIT_FSIZE, (most_bytes, hard))

    return limit


def _pid(camera: Camera) -> int:
    if camera.child is None or camera.is_over:
        raise ProcessLookupError(os.strerror(3))
    return camera.child.pid


HOW: Final[dict[Deed, How]] = {
    "kill": How(_each("kill"), _each("begin")),
    "stop": How(_each("stop"), _each("begin")),
    "forget": How(_each("stop"), _begin_without_memory_of_it),
    "hang": How(_each("hang"), _each("resume")),
    "hang and kill": How(_each("hang"), _kill_hung),
    "fill": How(_fill, _make_room),
    "limit files": How(_limit_files(FILE_BYTES), _limit_files(resource.RLIM_INFINITY)),
    "no memory": How(_limit_store(1), _limit_store(None)),
    "slow": How(_late(LATE_S), _late(0.0)),
    "far": How(_late(FAR_S), _late(0.0)),
    "lossy": How(_lossy(STALLS), _lossy(0.0)),
    "cut": How(lambda at, step: _relay(at, step.fault).cut(), lambda at, step: _relay(at, step.fault).mend()),
    "half-open": How(lambda at, step: _relay(at, step.fault).deafen(), lambda _at, _step: None),
    "down": How(lambda at, _step: _link(at).take_down(), lambda at, _step: _link(at).bring_up()),
    "narrow": How(
        lambda at, step: _link(at).shape(NARROW_BITS_PER_S[step.which % 2]),
        lambda at, _step: _link(at).shape(WIDE_BITS_PER_S),
    ),
    "drop packets": How(lambda at, _step: _link(at).lose(PACKETS_LOST), lambda at, _step: _link(at).lose(0)),
}
