"""The command `headwater bill`."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from planning.fleet import Fleet, FleetBill

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=10**9))]
Positive = Annotated[float, Parameter(validator=Number(gt=0, lte=1e9))]


@dataclass(frozen=True, kw_only=True)
class BillSettings:
    """The fleet, what a frame takes, and the names in the price book."""

    prices: str
    """A price book: a name of `headwater prices`, or a file."""
    devices: Count = 1
    """How many there are."""
    rate: Positive
    """Frames a second that each device sends."""
    worker_ms: Positive
    """What one frame takes one core of the server, or the function: `decode` and `tail` of the stage times."""
    bytes: Positive = 500.0
    """What one frame's message weighs."""
    result_bytes: Positive = 500.0
    """What its result weighs."""
    device: str | None = None
    """The devices' name in the price book; left out, they cost nothing."""
    server: str | None = None
    """The servers' name in the price book."""
    function: str | None = None
    """The function's name in the price book, in place of servers."""
    messages: str | None = None
    """The broker's name in the price book; left out, messages cost nothing."""
    transfer: str | None = None
    """What leaves the cloud, in the price book: the results; left out, it costs nothing."""
    cores: Count = 1
    """Of one server."""
    load: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 0.95
    """How far a server is loaded at most."""


def bill(*, settings: Annotated[BillSettings, Parameter(name="*")], json: bool = False) -> None:
    """Work out a fleet's month: devices, servers or a function, messages, power.

    Example: headwater bill --prices leroy-2021 --devices 5000 --rate 0.5 --worker-ms 13 --device raspberry-pi-3b
    --server t2-micro

    Servers are counted as whole ones, each bearing as many devices as its cores allow. A broker paid by the message
    meters each frame and each result twice, when it comes in and when it goes out.

    Args:
        settings: the fleet
        json: print JSON instead of the table
    """
    from planning.fleet import Fleet, Names, fleet_bill
    from planning.prices import load_book

    asked = settings
    fleet = Fleet(
        asked.devices,
        asked.rate,
        asked.worker_ms / 1e3,
        ((asked.bytes, 1.0),),
        asked.result_bytes,
        cores=asked.cores,
        load_limit=asked.load,
    )
    names = Names(asked.device, asked.server, asked.function, asked.messages, asked.transfer)
    found = fleet_bill(load_book(asked.prices), fleet, names)
    if json:
        print(json_text.dumps({**asdict(found), "total": found.total}, indent=1))
    else:
        _print(found, fleet)


def _print(found: FleetBill, fleet: Fleet) -> None:
    money = found.currency
    for what, count, amount in found.lines:
        print(f"{what:<24} {f'x {count:,}' if count > 1 else '':>10} {amount:>16,.3f} {money} a month")
    print(f"{'together':<24} {'':>10} {found.total:>16,.3f} {money} a month")
    per_million = found.total / found.frames * 1e6
    each = found.total / fleet.devices
    print(f"\n{each:,.4f} {money} a device, {per_million:,.3f} {money} a million frames of {found.frames:,.0f}")
    if found.users is not None:
        print(f"one server bears {found.users:,} devices at {fleet.load_limit:.0%} load")
