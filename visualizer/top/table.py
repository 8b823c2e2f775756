"""The fleet as lines of text that fit a terminal of any size: rows and columns are left out, never broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from visualizer.top.figures import DeviceFigures, Totals, View
from visualizer.top.lately import WorkerFigures
from visualizer.top.order import Sort

Row = TypeVar("Row", DeviceFigures, WorkerFigures)

UNKNOWN: Final = "-"
STATE_STYLES: Final = {"online": "green", "stale": "yellow", "offline": "red"}
LEAST_HEIGHT: Final = 10
"""In fewer lines there is room for devices alone."""
WORKERS_SHARE: Final = 3
"""Workers get at most one line in so many."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: what stands in it, and how much it is wanted where there is little room."""

    title: str
    width: int
    wanted: int
    """The lower, the sooner it is there."""
    text: Callable[[Row], str]
    left: bool = False
    """Text, which begins at the left and may be cut, and not a number."""


DEVICES: Final[tuple[Column[DeviceFigures], ...]] = (
    Column("DEVICE", 12, 0, lambda one: one.name, left=True),
    Column("STATE", 7, 1, lambda one: one.state, left=True),
    Column("FPS", 5, 2, lambda one: short(one.frames_per_s)),
    Column("P50ms", 5, 4, lambda one: short(one.stored_p50_ms)),
    Column("P95ms", 5, 3, lambda one: short(one.stored_p95_ms)),
    Column("SPLIT", 12, 5, lambda one: one.split or UNKNOWN, left=True),
    Column("EXITS", 5, 8, lambda one: percent(one.left_early)),
    Column("SPOOL", 6, 6, lambda one: size(one.spool_bytes)),
    Column("DROP", 5, 7, lambda one: short(one.dropped)),
    Column("AGAIN", 5, 9, lambda one: short(one.resent)),
    Column("RTTms", 5, 10, lambda one: short(one.round_trip_ms)),
    Column("LINK", 8, 11, lambda one: bandwidth(one.bandwidth_bits_per_s)),
    Column("TEMP", 5, 12, lambda one: degrees(one.temperature_c)),
    Column("CLOCKms", 11, 13, lambda one: offset(one.clock_offset_ms, one.clock_uncertainty_ms)),
    Column("WAITS", 5, 14, lambda one: short(one.in_flight)),
    Column("CODEC", 12, 15, lambda one: one.codec or UNKNOWN, left=True),
)
WORKERS: Final[tuple[Column[WorkerFigures], ...]] = (
    Column("WORKER", 12, 0, lambda one: one.name, left=True),
    Column("FPS", 5, 1, lambda one: short(one.frames_per_s)),
    Column("BUSY", 5, 2, lambda one: percent(one.busy)),
    Column("WAIT50ms", 8, 4, lambda one: short(one.wait_p50_ms)),
    Column("WAIT95ms", 8, 3, lambda one: short(one.wait_p95_ms)),
    Column("BATCH", 5, 5, lambda one: short(one.batch)),
    Column("REFUSED", 7, 6, lambda one: short(one.refused)),
)


def short(value: float | None) -> str:
    """Return a number in at most five characters."""
    if value is None:
        return UNKNOWN
    for unit in ("", "k", "M", "G", "T"):
        if abs(value) < 9.95 and (unit or value != int(value)):
            return f"{value:.1f}{unit}"
        if abs(value) < 999.5:
            return f"{value:.0f}{unit}"
        value /= 1000
    return "much"


def size(size_bytes: int) -> str:
    """Return bytes in at most six characters."""
    return f"{short(size_bytes)}B" if size_bytes else "0"


def bandwidth(bits_per_s: float | None) -> str:
    """Return bits per second in at most eight characters."""
    return UNKNOWN if bits_per_s is None else f"{short(bits_per_s)}b/s"


def percent(share: float | None) -> str:
    """Return a share of the whole."""
    return UNKNOWN if share is None else f"{short(_whole(100 * share))}%"


def degrees(temperature_c: float | None) -> str:
    """Return a temperature; of a believable one at most five characters."""
    return UNKNOWN if temperature_c is None else f"{short(_whole(temperature_c))}°C"


def _whole(value: float) -> float:
    return float(round(value)) if math.isfinite(value) else value


def offset(offset_ms: float | None, uncertainty_ms: float | None) -> str:
    """Return how far a clock is ahead, and how sure that is."""
    return UNKNOWN if offset_ms is None else f"{short(offset_ms)}±{short(uncertainty_ms)}"


def lines(view: View, sort: Sort, width: int | None = None, height: int | None = None) -> list[Text]:
    """Return the fleet in so many columns and lines of a terminal; without bounds all of it."""
    devices, workers = shares(height, len(view.devices), len(view.workers))
    found = [*head(view, sort), Text()]
    found += part(DEVICES, view.devices, devices, width, "devices")
    if workers:
        found += [Text(), *part(WORKERS, view.workers, workers, width, "workers")]
    if not view.devices:
        found.append(Text(f"No device of the fleet {view.fleet} has said anything yet.", "dim"))
    for line in found:
        if width is not None:
            line.truncate(width)
    return found[:height]


def shares(height: int | None, devices: int, workers: int) -> tuple[int, int]:
    """Return how many lines the rows of devices, and of workers, may take; below each heading, and 3 at the top."""
    if height is None:
        return devices, workers
    room = height - 4
    if height < LEAST_HEIGHT or not workers:
        return max(0, room), 0
    room -= 2
    for_workers = min(workers, max(room // WORKERS_SHARE, room - devices))
    return room - for_workers, for_workers


def head(view: View, sort: Sort) -> list[Text]:
    """Return what stands above: where and when, and all devices together."""
    at = datetime.fromtimestamp(view.at_ns / 1e9).astimezone().strftime("%H:%M:%S")
    first = Text(f"{view.fleet} at {view.broker}  {at}  by {sort}", "bold")
    if view.away_s is not None:
        first = Text(f"{view.fleet} at {view.broker}  the broker has been away for {view.away_s:.0f} s", "bold red")
    return [first, Text(summary(view.totals))]


def summary(found: Totals) -> str:
    """Return all devices in one line."""
    states = {"online": found.online, "stale": found.stale, "offline": found.offline}
    known = ", ".join(f"{number} {state}" for state, number in states.items() if number)
    return (
        f"{found.devices} devices{': ' if known else ''}{known}; {short(found.frames_per_s)} fps; "
        f"exits {percent(found.left_early)}; spool {size(found.spool_bytes)}; dropped {short(found.dropped)}; "
        f"again {short(found.resent)}"
    )


def part(columns: Sequence[Column[Row]], rows: Sequence[Row], room: int, width: int | None, what: str) -> list[Text]:
    """Return a heading and the rows that there is room for; where some are left out, the last line says how many."""
    shown = rows if len(rows) <= room else rows[: max(0, room - 1)]
    cells = [[printable(column.text(row)) for column in columns] for row in shown]
    widths = fitted(columns, cells, width)
    found = [line(columns, widths, [column.title for column in columns], "bold")]
    found += [line(columns, widths, one, "") for one in cells]
    if len(shown) < len(rows):
        found.append(Text(f"… {len(rows) - len(shown)} more {what}", "dim"))
    return found


def _lengths(cells: Sequence[Sequence[str]], nth: int) -> list[int]:
    return [0, *(cell_len(row[nth]) for row in cells)]


def fitted(columns: Sequence[Column[Row]], cells: Sequence[Sequence[str]], width: int | None) -> dict[int, int]:
    """Return the columns that fit, by place, with their widths: the most wanted first, then room for long texts."""
    longest = [max(column.width, *_lengths(cells, nth)) for nth, column in enumerate(columns)]
    if width is None:
        return dict(enumerate(longest))
    taken: dict[int, int] = {}
    room = width + 1
    for at in sorted(range(len(columns)), key=lambda place: columns[place].wanted):
        if columns[at].width + 1 > room and taken:
            break
        taken[at] = columns[at].width
        room -= columns[at].width + 1
    for place in sorted(taken, key=lambda place: columns[place].wanted):
        more = min(max(0, room), longest[place] - taken[place])
        taken[place], room = taken[place] + more, room - more
    return dict(sorted(taken.items()))


def line(columns: Sequence[Column[Row]], widths: dict[int, int], cells: Sequence[str], style: str) -> Text:
    """Return one row of a table."""
    found = Text(style=style, no_wrap=True, overflow="crop")
    for at, width in widths.items():
        text = cut(cells[at] if columns[at].left else cells[at].rjust(width), width)
        found.append(" " if found else "").append(text, STATE_STYLES.get(cells[at], ""))
    found.rstrip()
    return found


def cut(text: str, width: int) -> str:
    """Return a text in exactly so many cells, with a mark where something was cut off."""
    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1))}…"


def printable(text: str) -> str:
    """Return a text that a terminal only shows: what comes from the network may hold its commands."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
