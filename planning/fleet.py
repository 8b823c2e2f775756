"""A fleet's month: what devices, servers or a function, messages, transfer and power cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from planning.errors import PlanError
from planning.money import servers_for, users_per_server
from planning.prices import S_PER_HOUR, PriceBook


@dataclass(frozen=True)
class Fleet:
    """How many devices there are, and what each asks of the cloud."""

    devices: int
    frames_per_s: float
    """Of one device, those that it sends."""
    worker_s: float
    """Of one core of the server, or of the function, for one frame."""
    payloads: tuple[tuple[float, float], ...] = ((500.0, 1.0),)
    """Sizes of what is sent, in bytes, each with its share of the frames: messages are metered one by one."""
    result_bytes: float = 500.0
    cores: int = 1
    """Of one server."""
    load_limit: float = 0.95
    servers: int | None = None
    """How many there are; as many as the load asks for when left out."""

    def frames_per_month(self, hours: float) -> float:
        """Return how many frames all devices send in a month of so many hours."""
        return self.devices * self.frames_per_s * hours * S_PER_HOUR


@dataclass(frozen=True)
class Names:
    """What in a price book a fleet is charged for; what is not named costs nothing."""

    device: str | None = None
    server: str | None = None
    function: str | None = None
    messages: str | None = None
    transfer: str | None = None


@dataclass(frozen=True)
class FleetBill:
    """What a fleet costs in a month, by what it is paid for, in the book's currency."""

    book: str
    currency: str
    frames: float
    lines: tuple[tuple[str, int, float], ...]
    """What, how many, and what they cost together."""
    users: int | None
    """Devices that one server bears; None for a function, and where the servers were given."""

    @property
    def total(self) -> float:
        """Return what all of it costs."""
        return sum(amount for _, _, amount in self.lines)


def fleet_bill(book: PriceBook, fleet: Fleet, names: Names) -> FleetBill:
    """Return a fleet's bill.

    Raises: PlanError for a name that is not in the book, for not exactly one of server and function, or for a device
    that takes more than a server has.
    """
    if (names.server is None) == (names.function is None):
        raise PlanError("a fleet computes on --server or by --function, expected one of them; see `headwater prices`")
    frames, lines, users = fleet.frames_per_month(book.hours_per_month), [], None
    if names.device is not None:
        lines.append((names.device, fleet.devices, fleet.devices * book.device_month(names.device)))
    if names.server is not None:
        count = fleet.servers
        if count is None:
            users = users_per_server(fleet.frames_per_s * fleet.worker_s / fleet.cores, fleet.load_limit)
            count = servers_for(fleet.devices, users)
        lines.append((names.server, count, count * book.server_bill(names.server).fixed))
    if names.function is not None:
        lines.append((names.function, 1, book.function_bill(names.function, fleet.worker_s).month(frames)))
    broker, transfer = book.broker(names.messages), book.transfer(names.transfer)
    if broker is not None:
        up = sum(share * broker.message(size) for size, share in fleet.payloads)
        each = up + broker.message(fleet.result_bytes)
        lines.append((str(names.messages), 1, frames * each))
    if transfer is not None:
        lines.append((str(names.transfer), 1, transfer.month(frames * fleet.result_bytes / 1e9)))
    return FleetBill(book.name, book.currency, frames, tuple(lines), users)
