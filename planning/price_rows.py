"""A price book as rows of text, a line for everything that has a price."""

from __future__ import annotations

from planning.prices import PriceBook


def price_rows(book: PriceBook) -> list[list[str]]:
    """Return what, its name, its price in words, and what a month of it costs where that is fixed."""
    hours = book.hours_per_month
    rows = [
        ["server", name, _and(f"{one.per_hour:g} an hour", one.storage_gb and f"{one.storage_gb:g} GB at "
         f"{one.storage_per_gb_month:g} a month"), f"{one.month(hours):,.3f}"]
        for name, one in book.servers.items()
    ]  # fmt: skip
    rows += [
        ["function", name, f"{one.per_request * 1e6:g} a million requests, {one.request(1) - one.per_request:.4g} a "
         f"second with {one.memory_gb:g} GB", ""]
        for name, one in book.functions.items()
    ]  # fmt: skip
    rows += [
        ["device", name, _and(one.purchase and f"{one.purchase:g} over {one.months:g} months", one.per_hour and
         f"{one.per_hour:g} an hour", one.watts and f"{one.watts:g} W"), f"{one.month(hours, book.per_kwh):,.3f}"]
        for name, one in book.devices.items()
    ]  # fmt: skip
    rows += [
        ["messages", name, f"{one.per_message * 1e6:g} a million, each begun {one.metered_bytes:g} B one", ""]
        for name, one in book.messages.items()
    ]
    rows += [
        ["transfer", name, _and(f"{one.per_gb:g} a GB", one.free_gb and f"the first {one.free_gb:g} GB a month free"),
         ""]
        for name, one in book.transfers.items()
    ]  # fmt: skip
    return rows + ([["power", "", f"{book.per_kwh:g} a kWh", ""]] if book.per_kwh else [])


def _and(*parts: str | float) -> str:
    return ", ".join(str(part) for part in parts if part) or "nothing"
