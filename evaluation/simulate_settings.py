"""What `headwater simulate` was asked, read: numbers with units, a day's curve, a price book."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from headwater.errors import SettingsError
from headwater.quantities import bits_per_s, seconds, share
from planning.fleet import Names
from planning.outcome import Case, Money
from planning.prices import load_book
from planning.simulation import Load, Plant
from planning.times import CloudTimes, FrameTimes

if TYPE_CHECKING:
    from evaluation.simulate_commands import SimulateSettings

DAYS: Final = {"constant": (1.0,) * 24, "daylight": (0.0,) * 6 + (1.0,) * 12 + (0.0,) * 6}
_NOTHING: Final = CloudTimes((0.0,), (0.0,), (0.0,), 0.0, 0.0, 0.0, 0.0)
_NO_TIMES: Final = FrameTimes(0, "", 0.0, "", "", "", (0.0,), (0.0,), (0.0,), 0.0, 0.0, _NOTHING, _NOTHING)
"""Stand in while nothing is measured yet."""


def read_case(asked: SimulateSettings, times: FrameTimes | None) -> Case:
    """Return the case; without times, only to check it. Raises: SettingsError, PlanError."""
    times = times or _NO_TIMES
    if asked.leave is not None and "device" in {asked.split, times.split}:
        raise SettingsError("leave: got a share, and split device finishes every frame on its device; leave it out")
    leave = times.left if asked.leave is None else share("leave", asked.leave)
    load = Load(asked.devices, asked.rate, leave, asked.pattern)
    plant = Plant(
        bits_per_s(asked.bandwidth),
        seconds("round-trip", asked.round_trip),
        None if asked.shared is None else bits_per_s(asked.shared),
        asked.broker_rate,
        asked.store_rate,
        asked.slowdown,
        asked.worker_slowdown,
    )
    workers = None if asked.workers == "auto" else asked.workers
    return Case(
        load, plant, times, curve(asked.day), asked.hours, workers, seconds("deadline", asked.deadline), asked.seed,
        _money(asked),
    )  # fmt: skip


def check_times(asked: SimulateSettings, times: FrameTimes) -> None:
    """Pass if times from a file are of what was asked for. Raises: SettingsError."""
    if asked.source is not None:
        raise SettingsError(
            f"source: got pictures to measure with, and {asked.times} holds times already; "
            "leave it out, or give another --times to have it measured"
        )
    bundle = asked.bundle and Path(asked.bundle).name.removesuffix(".tflite")
    wanted = {"bundle": bundle, "split": asked.split, "codec": asked.codec}
    for name, value in wanted.items():
        measured = getattr(times, name)
        if value not in {None, "auto", measured}:
            raise SettingsError(
                f"{name}: got {value!r}, and {asked.times} holds times of {measured!r}; "
                "leave it out, or give another --times to have it measured"
            )


def default_codec(split: str) -> str:
    """Return how frames of a split travel where nobody says it."""
    return "jpeg:90" if split == "image" else "auto"


def curve(text: str) -> tuple[float, ...]:
    """Return the share of the rate of each hour. Raises: SettingsError."""
    if text in DAYS:
        return DAYS[text]
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 24 or not all(0 <= value <= 1 for value in values) or max(values) != 1:
        raise SettingsError(
            f"day: got {text[:80]!r}, expected constant, daylight, or 24 numbers from 0 to 1 with commas between them, "
            "the largest 1: the share of --rate in each hour"
        )
    return values


def _money(asked: SimulateSettings) -> Money | None:
    names = {name: getattr(asked, name) for name in ("device", "server", "messages", "transfer")}
    if asked.prices is None:
        given = [name for name, value in names.items() if value is not None]
        if given:
            raise SettingsError(f"--{given[0]} names something in a price book, and none is given; add --prices BOOK")
        return None
    book = load_book(asked.prices)
    found = book.server(asked.server)
    if found is None:
        raise SettingsError(f"prices: {book.name} has no server for the workers; give another book")
    return Money(book, Names(**{**names, "server": found[0]}), asked.cores)
