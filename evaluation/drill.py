"""Fault drills as data: what is done to which part, for how long, and when, drawn from a seed. No process, no clock."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from headwater.errors import SettingsError

Part = Literal["device", "worker", "workers", "broker", "store", "site", "link", "disk"]
Deed = Literal[
    "kill", "stop", "forget", "hang", "hang and kill", "fill", "no memory", "slow", "far", "cut", "down", "lossy",
    "narrow", "drop packets", "half-open", "limit files",
]  # fmt: skip
Need = Literal["mosquitto", "iotcore", "site", "namespaces", "iptables", "mounts", "memory group", "gstreamer"]
THEIRS: Final = {"broker", "store", "site"}
"""What in an operator's installation is theirs, and is left alone."""
FIRST: Final = (0.1, 0.35)
"""In which share of the stream the first blow falls."""
TOGETHER_S: Final = 1.5
"""The parts of a pair are hit within this time."""
SPARE: Final = 1.02
"""So much more is streamed than is asked for: what a killed device has in hand does not count."""


@dataclass(frozen=True)
class Way:
    """What a device streams, and how often."""

    bundle: str
    split: str
    codec: str
    rate: float
    """Pictures a second."""


FINISHED: Final = Way("mnist", "device", "auto", 100)
CUT: Final = Way("mnist", "pool_5", "auto", 80)
PICTURES: Final = Way("litter", "image", "jpeg:90", 40)


@dataclass(frozen=True)
class Fault:
    """One thing that is done to one part."""

    deed: Deed
    part: Part
    lasts_s: tuple[float, float] = (0.3, 3.0)
    """Between these, until it is undone: the part is started again, the link is whole."""


@dataclass(frozen=True)
class Drill:
    """A stream and what befalls it, again and again while it flows."""

    name: str
    about: str
    faults: tuple[Fault, ...]
    """One blow: all of them, nearly together; or some, with `most`."""
    way: Way = FINISHED
    every_s: tuple[float, float] = (4.0, 8.0)
    """Quiet time between two blows."""
    blows: int | None = None
    """At most so many; as many as fall into the stream when None."""
    most: int | None = None
    """One to so many of the faults make a blow, drawn each time."""
    needs: frozenset[Need] = frozenset()
    broker: Literal["auto", "mosquitto", "iotcore"] = "auto"
    memory_bytes: int | None = None
    """The device may have so much and no more."""
    disk_bytes: int | None = None
    """The spool lies on a disk of its own of this size."""
    stuck: bool = False
    """The camera hands out one picture for a long while, now and then, and the device is to say so."""
    least_s: float = 0.0
    """It streams for so long at the least, whatever was asked for."""
    is_long: bool = False
    """It takes a minute at the least, so no random selection has it."""

    @property
    def parts(self) -> set[Part]:
        """Return what it touches."""
        return {fault.part for fault in self.faults}

    def has(self, deed: Deed, part: Part) -> bool:
        """Tell whether this is done to that part."""
        return any(fault.deed == deed and fault.part == part for fault in self.faults)

    @property
    def has_relay(self) -> bool:
        """Tell whether something of ours stands between the broker and who connects to it."""
        return "link" in self.parts or self.has("half-open", "worker")

    @property
    def is_for_all(self) -> bool:
        """Tell whether it touches only what the drill itself starts in an operator's installation."""
        return not self.parts & THEIRS and self.broker == "auto"


@dataclass(frozen=True)
class Step:
    """One thing to do at one moment of the stream."""

    at_s: float
    begins: bool
    """Else it ends."""
    fault: Fault
    which: int
    """Of several of that part."""
    number: int
    """The same for a beginning and its end."""


def _kills() -> list[Drill]:
    """Return SIGKILL of each part, alone and in pairs."""
    parts: tuple[Part, ...] = ("device", "worker", "broker", "store", "site")
    sets = [*((part,) for part in parts), *itertools.combinations(parts, 2)]
    return [
        Drill(
            "kill-" + "-".join(hit),
            f"SIGKILL of {' and '.join(hit)}, started again",
            tuple(Fault("kill", part) for part in hit),
            way=CUT if "worker" in hit else FINISHED,
            needs=frozenset({"site"} if "site" in hit else ()),
        )
        for hit in sets
    ]


DRILLS: Final[tuple[Drill, ...]] = (
    *_kills(),
    Drill("storm", "one to three of five: SIGKILL of device, worker, broker, store; the link cut",
          (Fault("kill", "device"), Fault("kill", "worker"), Fault("kill", "broker"), Fault("kill", "store"),
           Fault("cut", "link")), CUT, most=3),
    Drill("kill-workers", "SIGKILL of every worker, started again", (Fault("kill", "workers"),), CUT),
    Drill("roll-workers", "workers stopped in order and started again, in turn", (Fault("stop", "worker"),), CUT,
          every_s=(1.0, 3.0)),
    Drill("hang-worker", "a worker hangs (SIGSTOP) and goes on", (Fault("hang", "worker", (3.0, 8.0)),), CUT),
    Drill("hang-kill-worker", "a worker hangs, then is killed", (Fault("hang and kill", "worker", (2.0, 6.0)),), CUT),
    Drill("restart-broker", "mosquitto restarted, with what it keeps", (Fault("stop", "broker"),),
          needs=frozenset({"mosquitto"}), broker="mosquitto"),
    Drill("forget-broker", "mosquitto restarted, without what it kept", (Fault("forget", "broker"),),
          needs=frozenset({"mosquitto"}), broker="mosquitto"),
    Drill("kill-iotcore", "SIGKILL of iotcore, which keeps nothing", (Fault("kill", "broker"),), CUT,
          needs=frozenset({"iotcore"}), broker="iotcore"),
    Drill("hang-broker", "the broker hangs and goes on", (Fault("hang", "broker", (1.0, 5.0)),)),
    Drill("away-store", "the store is away for a while", (Fault("stop", "store", (4.0, 10.0)),)),
    Drill("full-store", "the store is full (maxmemory)", (Fault("no memory", "store", (3.0, 8.0)),)),
    Drill("slow-store", "the store answers 0.3 s late", (Fault("slow", "store", (3.0, 8.0)),)),
    Drill("hang-store", "the store hangs and goes on", (Fault("hang", "store", (3.0, 9.0)),)),
    Drill("cut-link", "the connection is cut and refused", (Fault("cut", "link", (0.5, 6.0)),)),
    Drill("far-link", "60 ms there and back", (Fault("far", "link", (5.0, 10.0)),), CUT, every_s=(1.0, 3.0)),
    Drill("lossy-link", "connections stall and break at random", (Fault("lossy", "link", (5.0, 10.0)),),
          every_s=(1.0, 3.0)),
    Drill("half-open-link", "a connection swallows all and never closes", (Fault("half-open", "link", (0.0, 0.0)),),
          blows=1, is_long=True),
    Drill("half-open-worker", "one of two workers' connections swallows all and never closes",
          (Fault("half-open", "worker", (0.0, 0.0)),), CUT, blows=1, is_long=True),
    Drill("down-link", "the interface is down: packets vanish, nothing closes", (Fault("down", "link", (1.0, 9.0)),),
          needs=frozenset({"namespaces"})),
    Drill("slow-link", "7.2 Mbit/s, then 1 Mbit/s", (Fault("narrow", "link", (3.0, 6.0)),), PICTURES, (2.0, 4.0),
          needs=frozenset({"namespaces"})),
    Drill("packet-loss", "one packet in ten is lost, either way", (Fault("drop packets", "link", (5.0, 10.0)),), CUT,
          needs=frozenset({"namespaces", "iptables"})),
    Drill("cut-link-kill-device", "the link is cut and the device killed meanwhile",
          (Fault("cut", "link", (2.0, 6.0)), Fault("kill", "device", (0.3, 2.0)))),
    Drill("full-disk", "the disk of the spool is full while the link is cut",
          (Fault("fill", "disk", (4.0, 7.0)), Fault("cut", "link", (4.0, 7.0))), PICTURES,
          needs=frozenset({"mounts"}), disk_bytes=12_000_000),
    Drill("file-limit", "no file of the device may grow (RLIMIT_FSIZE) while the link is cut",
          (Fault("limit files", "disk", (4.0, 7.0)), Fault("cut", "link", (4.0, 7.0))), PICTURES),
    Drill("small-memory", "a device with 192 MB, and a backlog", (Fault("cut", "link", (6.0, 12.0)),), CUT,
          needs=frozenset({"memory group"}), memory_bytes=192_000_000),
    Drill("stuck-camera", "a camera gives the same picture for long, and is called stale; a worker is killed meanwhile",
          (Fault("kill", "worker"),), CUT, needs=frozenset({"gstreamer"}), stuck=True, least_s=4.0),
)  # fmt: skip


def chosen(names: Sequence[str]) -> list[Drill]:
    """Return the drills of these names, or all. Raises: SettingsError."""
    known = {drill.name: drill for drill in DRILLS}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            more = f"did you mean {near[0]}?" if near else "headwater drill --list shows them"
            raise SettingsError(f"drill: got {name!r}, expected one of {len(known)} names; {more}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(DRILLS)


def some(drills: Sequence[Drill], draw: int, chance: Random) -> list[Drill]:
    """Return so many of these drills, drawn, without those that take long."""
    short = [drill for drill in drills if not drill.is_long]
    return chance.sample(short, min(draw, len(short)))


def stream_s(drills: Sequence[Drill], seconds: float, frames: int | None) -> float:
    """Return how long each drill streams: so many seconds, or until they have streamed so many frames together."""
    if frames is None or not drills:
        return seconds
    return SPARE * frames / sum(drill.way.rate for drill in drills)


def drawn(drill: Drill, seconds: float, chance: Random) -> list[Step]:
    """Return what to do when in a stream of so many seconds, in order; one blow at the least."""
    steps: list[Step] = []
    at_s, done = seconds * chance.uniform(*FIRST), 0
    while done == 0 or (at_s < seconds and (drill.blows is None or done < drill.blows)):
        ends_s = at_s
        for fault in _blow(drill, chance):
            begins_s = at_s + (chance.uniform(0, TOGETHER_S) if len(drill.faults) > 1 else 0.0)
            over_s, which = begins_s + chance.uniform(*fault.lasts_s), chance.randrange(1 << 16)
            number = len(steps) // 2
            steps += [Step(begins_s, True, fault, which, number), Step(over_s, False, fault, which, number)]
            ends_s = max(ends_s, over_s)
        at_s, done = ends_s + chance.uniform(*drill.every_s), done + 1
    return sorted(steps, key=lambda step: step.at_s)


def _blow(drill: Drill, chance: Random) -> Sequence[Fault]:
    """Return the faults of one blow."""
    return drill.faults if drill.most is None else chance.sample(drill.faults, chance.randint(1, drill.most))
