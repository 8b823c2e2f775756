"""Links and devices of a grid, what was measured in its cells, and how far the planner was from it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from planning.choose import regret
from planning.ways import Conditions, Journey, Way, journey

Kind = Literal["the picture", "a split", "the device alone"]
KINDS: Final[tuple[Kind, ...]] = ("the picture", "a split", "the device alone")


@dataclass(frozen=True)
class Link:
    """What a device sends over: how much a second, and how long there and back."""

    name: str
    bandwidth_bits_per_s: float
    round_trip_s: float
    source: str

    def __str__(self) -> str:
        return f"{self.name} ({self.bandwidth_bits_per_s / 1e6:g} Mbit/s, {self.round_trip_s * 1e3:g} ms)"


_THESIS: Final = "papers/000, table 4.1, means: "
LINKS: Final[Mapping[str, Link]] = {
    one.name: one
    for one in (
        Link("lan", 100e6, 0.001, "chosen here: fast Ethernet; papers/002 prints no figures of its standard link"),
        Link(
            "4g", 11.9e6, 0.0353,
            "Opensignal, The State of Mobile Network Experience, May 2019, Belgium: upload and latency; papers/002, "
            "from Belgium, prints no figures",
        ),
        Link("wavelength", 34.5e6, 0.02416, _THESIS + "device to Wavelength, over 5G"),
        Link("region", 30.43e6, 0.03138, _THESIS + "device to region, over 5G"),
        Link("backbone", 1356e6, 0.006636, _THESIS + "Wavelength to region"),
        Link(
            "luger", 7.2e6, 0.03138,
            "papers/001, section 6.7: the mean of its Poisson; it prints no ping, the round trip is that of region",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """What a device has: a share of a processor core of this machine, and how much memory."""

    name: str
    share: float
    memory_bytes: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.share:.0%} of a core{f', {self.memory_bytes >> 20} MiB' if self.memory_bytes else ''})"
        )


DEVICES: Final[Mapping[str, Device]] = {
    one.name: one
    for one in (
        Device("full", 1.0),
        Device("half", 0.5),
        Device("quarter", 0.25),
        Device("small-memory", 1.0, 256 << 20),
    )
}

DOCUMENT: Final[Mapping[tuple[int, str], str]] = {
    (160, "lan"): "a split, on both boards",
    (224, "lan"): "split13 on the Jetson Nano, the picture on the Raspberry Pi",
    (224, "4g"): "the device alone",
}
"""What is fastest by input size and link. Source: Leroy & Goedemé 2021, sections 5.1.2 to 5.1.4, figures 7 to 9."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way of a frame, as its device measured it; medians, in seconds."""

    split: str
    codec: str
    bytes: int
    crop_s: float
    head_s: float
    encode_s: float
    trip_s: float
    """From the first byte sent to the answer at the device: uplink, decoding, tail, and the answer's way back."""
    decode_s: float
    tail_s: float
    trips: int
    bandwidth_bits_per_s: float
    """The link as this device measured it before, by a short and a long message …"""
    round_trip_s: float
    """… without the time that the messages' bytes take."""
    resident_bytes: int
    """The most memory that the device's process had so far."""


@dataclass(frozen=True, kw_only=True)
class Ran(Measured):
    """One way of a frame of one network over one link from one device."""

    net: str
    link: str
    device: str
    charged_bytes: int
    """The most memory that the device's group had so far, where it has a limit."""

    @property
    def total_s(self) -> float:
        """Return the latency of a frame, from the picture to the answer back at the device."""
        return self.crop_s + self.head_s + self.encode_s + self.trip_s

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Return what the latency is made of."""
        link_s = max(0.0, self.trip_s - self.decode_s - self.tail_s)
        return {
            "crop": self.crop_s,
            "head": self.head_s,
            "encode": self.encode_s,
            "link": link_s,
            "decode": self.decode_s,
            "tail": self.tail_s,
        }

    @property
    def name(self) -> str:
        """Return the split and the codec, as the planner names a way."""
        return self.split if self.split == "device" else f"{self.split} {self.codec}"

    @property
    def kind(self) -> Kind:
        """Return where it was computed."""
        if self.split == "device":
            return "the device alone"
        return "the picture" if self.split == "image" else "a split"


@dataclass(frozen=True)
class Said:
    """What the planner says of a way; its latency ends at the worker, so the answer's way back is added."""

    journey: Journey
    back_s: float

    @property
    def total_s(self) -> float:
        """Return the latency, from the picture to the answer back at the device."""
        return self.journey.total_s + self.back_s

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Return what it is made of, named as in Ran."""
        one = self.journey
        return {
            "crop": one.crop_s,
            "head": one.head_s,
            "encode": one.encode_s,
            "link": one.uplink_s + self.back_s,
            "decode": one.decode_s,
            "tail": one.tail_s,
        }


def say(way: Way, ran: Ran, device: Device) -> Said:
    """Return what the planner says of a way tried with a whole core, given the device's share and the link it sees."""
    at = Conditions(ran.bandwidth_bits_per_s, ran.round_trip_s, 1 / device.share)
    return Said(journey(way, at), ran.round_trip_s / 2)


@dataclass(frozen=True)
class Cell:
    """One network over one link from one device: every way, measured and predicted in the same order."""

    net: str
    link: Link
    device: Device
    ran: Sequence[Ran]
    said: Sequence[Said]

    @property
    def fastest(self) -> Ran:
        """Return the way that was measured to be the fastest."""
        return min(self.ran, key=lambda one: one.total_s)

    @property
    def chosen(self) -> Ran:
        """Return the way that the planner says is the fastest."""
        return self.ran[self._place]

    @property
    def _place(self) -> int:
        return min(range(len(self.said)), key=lambda place: self.said[place].total_s)

    @property
    def regret(self) -> float:
        """Return the regret of the planner's choice, by what was measured."""
        return regret([one.total_s for one in self.ran], self._place)

    @property
    def error(self) -> float:
        """Return the mean absolute relative error of the predicted latencies."""
        pairs = zip(self.ran, self.said, strict=True)
        return statistics.fmean(abs(said.total_s - ran.total_s) / ran.total_s for ran, said in pairs)

    def best(self, kind: Kind) -> Ran | None:
        """Return the fastest way of a kind."""
        found = [one for one in self.ran if one.kind == kind]
        return min(found, key=lambda one: one.total_s) if found else None


def cells(ways: Mapping[str, Sequence[Way]], rows: Sequence[Ran]) -> list[Cell]:
    """Return the cells in which every way of a network was measured, by network, link and device."""
    by_cell: dict[tuple[str, str, str], dict[str, Ran]] = {}
    for row in rows:
        by_cell.setdefault((row.net, row.link, row.device), {})[row.name] = row
    found = []
    for net, tried in ways.items():
        for link in LINKS.values():
            for device in DEVICES.values():
                ran = by_cell.get((net, link.name, device.name), {})
                if tried and all(way.name in ran for way in tried):
                    ordered = [ran[way.name] for way in tried]
                    said = [say(way, one, device) for way, one in zip(tried, ordered, strict=True)]
                    found.append(Cell(net, link, device, ordered, said))
    return found
