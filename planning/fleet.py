"""A fleet's month: what devices, servers or functions, messages and power cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from planning.errors import PlanError
from planning.money import Bill, Line, break_even, servers_for, users_per_server
from planning.prices import S_PER_HOUR, PriceBook


@dataclass(frozen=True)
class Fleet:
    """How many devices there are, and what each asks of the cloud."""

    devices: int
    frames_per_s: float
    """Of one device, those that it sends."""
    worker_s: float
    """Of one core of the server, or of the function, for one frame."""
    payload_bytes: float = 500.0
    cores: int = 1
    """Of one server."""
    load_limit: float = 0.95

    def frames_per_month(self, hours: float) -> float:
        """Return how many frames all devices send in a month of so many hours."""
        return self.devices * self.frames_per_s * hours * S_PER_HOUR


@dataclass(frozen=True)
class FleetBill:
    """What a fleet costs in a month, by what it is paid for, in the book's currency."""

    book: str
    currency: str
    frames: float
    lines: tuple[tuple[str, int, float], ...]
    """What, how many, and what they cost together."""
    users: int | None
    """Devices that one server bears; None for a function."""
    break_even_devices: float | None
    """From how many devices on servers are not dearer than the function; None where only one of them is asked about."""

    @property
    def total(self) -> float:
        """Return what all of it costs."""
        return sum(amount for _, _, amount in self.lines)


def fleet_bill(
    book: PriceBook, fleet: Fleet, device: str | None, server: str | None, function: str | None, messages: str | None
) -> FleetBill:
    """Return a fleet's bill with servers, or with a function where no server is named.

    Raises: PlanError for a name that is not in the book, for neither server nor function, or for a device that takes
    more than a server has.
    """
    frames, lines, users = fleet.frames_per_month(book.hours_per_month), [], None
    if device is not None:
        lines.append((device, fleet.devices, fleet.devices * book.device_month(device)))
    if server is not None:
        users = users_per_server(fleet.frames_per_s * fleet.worker_s / fleet.cores, fleet.load_limit)
        count = servers_for(fleet.devices, users)
        lines.append((server, count, count * book.server_bill(server).month(0)))
    elif function is not None:
        lines.append((function, 1, book.function_bill(function, fleet.worker_s).month(frames)))
    else:
        raise PlanError("neither --server nor --function is given, expected one; see `headwater prices BOOK`")
    broker = book.broker(messages)
    if broker is not None:
        lines.append((str(messages), 1, frames * broker.message(fleet.payload_bytes)))
    meeting = _meeting(book, fleet, users, server, function)
    return FleetBill(book.name, book.currency, frames, tuple(lines), users, meeting)


def _meeting(
    book: PriceBook, fleet: Fleet, users: int | None, server: str | None, function: str | None
) -> float | None:
    """Return from how many devices on the servers pay, where both are named."""
    if users is None or server is None or function is None:
        return None
    one = replace(fleet, devices=1).frames_per_month(book.hours_per_month)
    by_function = Bill((Line(function, per_request=one * book.function_bill(function, fleet.worker_s).month(1)),))
    by_server = Bill((Line(server, book.server_bill(server).month(0), requests_per_unit=users),))
    return break_even(by_function, by_server, max(1000.0, 10.0 * fleet.devices))
