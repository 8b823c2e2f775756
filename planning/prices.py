"""Price books: what servers, functions, devices, messages and power cost, with the source and the date. TOML."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from models.toml_table import BundleError, Table, read_toml
from planning.errors import PlanError
from planning.money import Bill

FORMAT: Final = 1
BOOKS: Final = Path(__file__).parent / "books"
MAX_BOOK_BYTES: Final = 262_144
_CURRENCY = re.compile(r"[A-Z]{3}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
S_PER_HOUR: Final = 3600.0
J_PER_KWH: Final = 3.6e6
_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Server:
    """A machine paid by the hour, with its disk."""

    per_hour: float
    storage_gb: float = 0.0
    storage_per_gb_month: float = 0.0

    def month(self, hours: float) -> float:
        """Return what it costs to have it for a month of so many hours."""
        return self.per_hour * hours + self.storage_gb * self.storage_per_gb_month


@dataclass(frozen=True)
class Function:
    """A function paid by the request and by the time it runs."""

    per_request: float
    memory_gb: float
    memory_per_gb_s: float
    storage_gb: float = 0.0
    storage_per_gb_s: float = 0.0

    def request(self, seconds: float) -> float:
        """Return what one request that runs so long costs."""
        per_s = self.memory_gb * self.memory_per_gb_s + self.storage_gb * self.storage_per_gb_s
        return self.per_request + seconds * per_s


@dataclass(frozen=True)
class Device:
    """What stands at the camera: bought and written off over months, or rented by the hour; and its power."""

    purchase: float = 0.0
    months: float = 12.0
    per_hour: float = 0.0
    watts: float = 0.0

    def month(self, hours: float, per_kwh: float) -> float:
        """Return what it costs in a month of so many hours at full power."""
        return self.purchase / self.months + self.per_hour * hours + self.watts / 1000 * hours * per_kwh


@dataclass(frozen=True)
class Messages:
    """A broker paid by the message, which is metered in pieces, when it comes in and when it goes out."""

    per_message: float
    metered_bytes: float

    def message(self, payload_bytes: float) -> float:
        """Return what a message of so many bytes costs, in and out; each begun piece counts as one."""
        return 2 * max(1, math.ceil(payload_bytes / self.metered_bytes)) * self.per_message


@dataclass(frozen=True)
class Transfer:
    """What leaves a data centre, or passes between two, paid by the gigabyte (1e9 bytes)."""

    per_gb: float
    free_gb: float = 0.0

    def month(self, gb: float) -> float:
        """Return what so many gigabytes in a month cost."""
        return max(0.0, gb - self.free_gb) * self.per_gb


@dataclass(frozen=True)
class PriceBook:
    """Prices in one currency, from one source, as of one date."""

    name: str
    currency: str
    date: str
    source: str
    note: str = ""
    hours_per_month: float = 730.0
    per_kwh: float = 0.0
    servers: Mapping[str, Server] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    devices: Mapping[str, Device] = field(default_factory=dict)
    messages: Mapping[str, Messages] = field(default_factory=dict)
    transfers: Mapping[str, Transfer] = field(default_factory=dict)

    def server_bill(self, name: str) -> Bill:
        """Return the bill of one server. Raises: PlanError for a name that is not in the book."""
        return Bill(fixed=self._one("server", self.servers, name).month(self.hours_per_month))

    def function_bill(self, name: str, seconds: float) -> Bill:
        """Return the bill of a function that runs so long per request. Raises: PlanError."""
        return Bill(per_request=self._one("function", self.functions, name).request(seconds))

    def device_month(self, name: str) -> float:
        """Return what a device costs in a month at full power. Raises: PlanError."""
        return self._one("device", self.devices, name).month(self.hours_per_month, self.per_kwh)

    def device(self, name: str | None) -> tuple[str, Device] | None:
        """Return a device and its name, the first one without a name; None if there is none. Raises: PlanError."""
        return self._one_or_first("device", self.devices, name)

    def server(self, name: str | None) -> tuple[str, Server] | None:
        """Return a server and its name, the first one without a name; None if there is none. Raises: PlanError."""
        return self._one_or_first("server", self.servers, name)

    def broker(self, name: str | None) -> Messages | None:
        """Return what messages cost; None without a name. Raises: PlanError."""
        return self._one("messages", self.messages, name) if name else None

    def transfer(self, name: str | None) -> Transfer | None:
        """Return what leaving a data centre costs; None without a name. Raises: PlanError."""
        return self._one("transfer", self.transfers, name) if name else None

    def _one_or_first(self, what: str, known: Mapping[str, _Entry], name: str | None) -> tuple[str, _Entry] | None:
        if name:
            return name, self._one(what, known, name)
        return next(iter(known.items()), None)

    def _one(self, what: str, known: Mapping[str, _Entry], name: str) -> _Entry:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
            expected = f"one of {', '.join(known)}" if known else "none, the book has no such prices"
            advice = f"did you mean {near[0]}?" if near else "name another, or another book"
            raise PlanError(f"price book {self.name}: got {what} {name!r}, expected {expected}; {advice}")
        return known[name]


def shipped_books() -> tuple[str, ...]:
    """Return the names of the price books that come with Headwater."""
    return tuple(sorted(path.stem for path in BOOKS.glob("*.toml")))


def load_book(name: str) -> PriceBook:
    """Return a shipped price book by its name, or one from a file. Raises: PlanError."""
    path = BOOKS / f"{name}.toml" if _NAME.fullmatch(name) and name in shipped_books() else Path(name)
    if not path.is_file():
        known = ", ".join(shipped_books())
        raise PlanError(f"there is no price book {name!r}, expected a file or one of {known}; see `headwater prices`")
    if path.stat().st_size > MAX_BOOK_BYTES:
        raise PlanError(f"{path} has {path.stat().st_size} B, expected at most {MAX_BOOK_BYTES}; this is no price book")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"price book {path} cannot be read: {error}; check the path and its rights") from error
    return parse_book(text, path.stem, str(path))


def parse_book(text: str, name: str, source: str) -> PriceBook:
    """Return what the text of a price book says. Raises: PlanError, which names the key."""
    try:
        return _book(Table(read_toml(text), "", source), name, source)
    except BundleError as error:
        raise PlanError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"price book {source} is not TOML: {error}; correct that line") from error


def _book(top: Table, name: str, source: str) -> PriceBook:
    if (version := top.integer("format", 1, 1_000_000)) != FORMAT:
        raise PlanError(f"{source} has format {version}, this program reads {FORMAT}; update the older of the two")
    book = PriceBook(
        name=name,
        currency=top.matching("currency", _CURRENCY, "three capitals such as EUR"),
        date=top.matching("date", _DATE, "a date such as 2023, 2023-06 or 2023-06-30"),
        source=top.text("source"),
        note=top.text("note", ""),
        hours_per_month=top.positive("hours_per_month", 730.0),
        per_kwh=top.amount("per_kwh", 0.0),
        servers=_entries(top, "servers", _server),
        functions=_entries(top, "functions", _function),
        devices=_entries(top, "devices", _device),
        messages=_entries(top, "messages", _messages),
        transfers=_entries(top, "transfers", _transfer),
    )
    top.no_more()
    return book


def _entries(top: Table, key: str, read: Callable[[Table], _Entry]) -> dict[str, _Entry]:
    tables, found = top.table(key, {}), {}
    for name in list(tables.rest):
        if not _NAME.fullmatch(name):
            raise tables.wrong(name, name, "a name of lower-case letters, digits, dots and dashes")
        table = tables.table(name)
        found[name] = read(table)
        table.no_more()
    return found


def _server(table: Table) -> Server:
    return Server(table.amount("per_hour"), table.amount("storage_gb", 0.0), table.amount("storage_per_gb_month", 0.0))


def _function(table: Table) -> Function:
    return Function(
        table.amount("per_request"),
        table.amount("memory_gb"),
        table.amount("memory_per_gb_s"),
        table.amount("storage_gb", 0.0),
        table.amount("storage_per_gb_s", 0.0),
    )


def _device(table: Table) -> Device:
    return Device(
        table.amount("purchase", 0.0),
        table.positive("months", 12.0),
        table.amount("per_hour", 0.0),
        table.amount("watts", 0.0),
    )


def _messages(table: Table) -> Messages:
    per_message, metered_bytes = table.amount("per_message"), table.positive("metered_bytes")
    if metered_bytes < 1:
        raise table.wrong("metered_bytes", metered_bytes, "at least 1")
    return Messages(per_message, metered_bytes)


def _transfer(table: Table) -> Transfer:
    return Transfer(table.amount("per_gb"), table.amount("free_gb", 0.0))
