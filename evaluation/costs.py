"""The documents' tables of costs, worked out from their price books, beside what is printed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from planning.money import break_even, servers_for
from planning.prices import PriceBook

FLEET: Final = 5000
MECHANISMS: Final = ("cloud only", "edge only", "split 5", "split 10", "split 13")
USERS: Final = (10, 228, 29, 32, 143)
"""Devices that one instance bears. Source: Leroy and Goedemé 2021, table 4 (measured there)."""


@dataclass(frozen=True)
class Row:
    """One printed figure, and what follows from the prices."""

    table: str
    what: str
    printed: str
    computed: float
    note: str = ""

    @property
    def agrees(self) -> str:
        """Return how the print follows from the computed figure: rounded, cut off, or not at all."""
        printed, exact = Decimal(self.printed), Decimal(repr(self.computed))
        step = Decimal(1).scaleb(int(printed.as_tuple().exponent))
        for name, way in (("rounded", ROUND_HALF_UP), ("cut off", ROUND_DOWN)):
            if exact.quantize(step, way) == printed:
                return name
        return "no"


@dataclass(frozen=True)
class _Edge:
    """A device of the fleet in its table of totals: names, and the printed figures."""

    table: str
    name: str
    device: str
    energy_hour: str
    energy_month: str
    purchase: str
    purchase_month: str
    energy_fleet: str
    devices_month: str
    totals: Sequence[str]
    per_user: Sequence[str]


_EDGES: Final = (
    _Edge("5", "Jetson Nano", "jetson-nano", "0.002", "1.46", "610000", "50833.333", "7300", "58133.333",
          ("61896.83", "58298.93", "59435.5", "59315.07", "58396.78"), ("12.37", "11.66", "11.88", "11.86", "11.67")),
    _Edge("6", "Raspberry Pi", "raspberry-pi-3b", "0.001", "0.73", "200000", "16666.667", "3650", "20316.667",
          ("24080.17", "20482.26", "21618.84", "21498.41", "20580.11"), ("4.816", "4.096", "4.324", "4.300", "4.116")),
)  # fmt: skip
_INSTANCES: Final = ("500", "22", "173", "157", "35")
_CLOUD: Final = ("3763.5", "165.594", "1302.171", "1181.739", "263.445")
_CLOUD_USER: Final = ("0.7526", "0.0331", "0.2604", "0.2363", "0.0526")


def leroy_rows(book: PriceBook) -> list[Row]:
    """Return tables 3 to 6 of Leroy and Goedemé 2021, figure by figure.

    The document rounds an hour's energy to a tenth of a cent before it multiplies; the same is done here, and the
    exact figure stands in the note.
    """
    return [*_table_4(book), *(row for edge in _EDGES for row in _edge_rows(book, edge))]


def _instance(book: PriceBook) -> float:
    """Return a month of one instance, to a tenth of a cent as in the document: 7.527 EUR."""
    return round(book.server_bill("t2-micro").fixed, 3)


def _table_4(book: PriceBook) -> Iterator[Row]:
    instance = _instance(book)
    for place, mechanism in enumerate(MECHANISMS):
        count = servers_for(FLEET, USERS[place])
        yield Row("4", f"{mechanism}: instances for {FLEET} devices", _INSTANCES[place], count)
        yield Row("4", f"{mechanism}: EUR a month", _CLOUD[place], round(count * instance, 6))
        yield Row("4", f"{mechanism}: EUR a month and device", _CLOUD_USER[place], count * instance / FLEET)


def _edge_rows(book: PriceBook, edge: _Edge) -> Iterator[Row]:
    device, hours = book.devices[edge.device], book.hours_per_month
    exact_hour = device.watts / 1000 * book.per_kwh
    hour = round(exact_hour, 3)
    month, exact = hour * hours, exact_hour * hours
    note = "" if hour == exact_hour else f"from the rounded hour; exactly {exact:.4f}"
    yield Row("3", f"{edge.name}: EUR of energy an hour", edge.energy_hour, exact_hour)
    yield Row("3", f"{edge.name}: EUR of energy a month", edge.energy_month, month, note)
    spread = device.purchase * FLEET / device.months
    yield Row(edge.table, f"{edge.name}: EUR for {FLEET} devices", edge.purchase, device.purchase * FLEET)
    yield Row(edge.table, f"{edge.name}: EUR a month over a year", edge.purchase_month, spread)
    yield Row(edge.table, f"{edge.name}: EUR of energy a month, fleet", edge.energy_fleet, month * FLEET, note)
    yield Row(edge.table, f"{edge.name}: EUR a month, all devices", edge.devices_month, spread + month * FLEET, note)
    for place, mechanism in enumerate(MECHANISMS):
        cloud = servers_for(FLEET, USERS[place]) * _instance(book)
        total, without = spread + month * FLEET + cloud, spread + exact * FLEET + cloud
        notes = [] if hour == exact_hour else [f"with exact energy {without:.2f}"]
        noted = "; ".join([*notes, *(["headed Split15 there"] if mechanism == "split 13" else [])])
        yield Row(edge.table, f"{edge.name}, {mechanism}: EUR a month", edge.totals[place], round(total, 6), noted)
        yield Row(edge.table, f"{edge.name}, {mechanism}: EUR a month and device", edge.per_user[place], total / FLEET)


@dataclass(frozen=True)
class Deployments:
    """What the thesis's five deployments cost by one price book."""

    book: str
    month: Mapping[str, float]
    """USD a month of those with servers."""
    per_million: float
    """USD of a million requests to the function."""
    break_even: float | None
    """Requests a month from which on the server in the region is not dearer than the function."""
    seconds: float
    """That a request takes, for these figures."""


def deployments(book: PriceBook, seconds: float) -> Deployments:
    """Return the thesis's costs (papers/000, section 4.4) for a request of so many seconds.

    How many requests a server can answer at most is not counted, as in the document, which names that beside it.
    """
    region, edge = (book.server_bill(name) for name in ("region", "wavelength"))
    function = book.function_bill("lambda", seconds)
    month = {"EC2 in the region": region.fixed, "EC2 at the edge": edge.fixed}
    month["split, with or without exits"] = (region + edge).fixed
    return Deployments(book.name, month, function.month(1e6), break_even(function, region), seconds)


def seconds_at_break_even(book: PriceBook, requests: float) -> float:
    """Return how long a request must take for the function and the server in the region to meet at so many requests."""
    function = book.functions["lambda"]
    per_s = function.request(1.0) - function.per_request
    return (book.server_bill("region").fixed / requests - function.per_request) / per_s
