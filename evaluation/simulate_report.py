"""A simulated fleet as lines, as plain values for JSON, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headwater.errors import SettingsError
from models.columns import in_columns
from planning.capacity import PERCENTILES, Figure, Use, full
from planning.outcome import Case, Look, Outcome, first_used_up
from planning.times import CROWDED

_COLUMNS = ("resource", "used", "full with", "wait p50 ms", "p95", "p99")


def lines(case: Case, found: Outcome) -> Iterator[str]:
    """Return what comes of a case: workers and latency, every resource, a day's sums, the bill, what ends it."""
    load = case.load
    asked = "" if case.workers else " needed" if found.look else " needed by the load alone"
    yield (
        f"{load.devices:,} devices x {load.frames_per_s:g} pictures/s, split {case.times.split} {case.times.codec}, "
        f"{load.leave:.0%} leave early: {_workers(found.workers)}{asked}"
    )
    yield from _latency(case, found)
    yield ""
    yield in_columns(_COLUMNS, [_row(use, found) for use in found.uses], _COLUMNS[1:])
    yield ""
    yield _end(case, found)
    yield from _day(case, found)
    yield from _bill(case, found)
    if case.times.machine_busy > CROWDED:
        yield (
            f"Measured while all cores were {case.times.machine_busy:.0%} busy: frames took longer than they would; "
            "measure again on a quiet machine."
        )


def _latency(case: Case, found: Outcome) -> Iterator[str]:
    look, growing = found.look, full(found.uses)
    if look is None:
        if growing is not None:
            yield f"the queue of the {growing.name} grows at {growing.share:.0%} load: no latency holds at the busiest"
        elif found.too_full is not None:
            late = found.too_full
            yield f"the {late.name} is too full to say how late frames are: {late.share:.1%}, and it settles too slowly"
        return
    shown = ", ".join(f"{name} {_ms(value)}" for name, value in look.latency.items())
    kept = {True: "kept", False: "NOT kept", None: "too close to say"}[look.latency["p99"].keeps(case.deadline_s)]
    yield f"capture to answer, at the busiest: {shown} ms; deadline {case.deadline_s * 1e3:g} ms {kept}"
    yield (
        f"({look.windows} windows of {look.window_s:.0f} s, {look.frames:,} frames counted, 95 % confidence; "
        f"workers busy {look.worker_busy.value:.0%}, {look.batch.value:.2f} frames a batch)"
    )


def _workers(count: int) -> str:
    return f"{count:,} worker{'' if count == 1 else 's'}"


def _ms(found: Figure) -> str:
    return f"{found.value * 1e3:.1f} ± {found.margin * 1e3:.1f}"


def _row(use: Use, found: Outcome) -> list[str]:
    where = f"{use.devices:,.0f} devices" if use.devices else f"{use.frames_per_s:,.3g} pictures/s each"
    name = _workers(found.workers) if use.name == "worker" else use.name
    waits = found.look.waits.get(use.name) if found.look else None
    shown = [f"{waits[f'p{p}'].value * 1e3:.2f}" for p in PERCENTILES] if waits else ["", "", ""]
    return [name, f"{use.share:.2%}", where, *shown]


def _end(case: Case, found: Outcome) -> str:
    first = first_used_up(found.uses)
    if first.devices is None:
        return f"used up: each {first.name}, which bears {first.frames_per_s:.3g} pictures a second"
    rest = [use for use in found.uses if use.name != "worker" and use.devices]
    line = f"used up first: {first.name}{'s' if first.name == 'worker' else ''}, with {first.devices:,.0f} devices"
    if first.name == "worker" and rest:
        line += f"; with more workers the {rest[0].name}, with {rest[0].devices:,.0f}"
    return line


def _day(case: Case, found: Outcome) -> Iterator[str]:
    day = found.day
    if day is None:
        yield f"{case.hours:g} h: no sums and no bill, because these frames cannot pass"
        return
    asked = "asked for: " if day.backlog_frames >= 1 else ""
    yield (
        f"{case.hours:g} h: {asked}{day.frames:,.0f} frames, "
        f"{day.bytes_up / 1e9:,.1f} GB up and {day.bytes_down / 1e9:,.1f} GB down"
    )
    if day.backlog_frames >= 1:
        yield (
            f"backlog: up to {day.backlog_frames:,.0f} frames, after {day.backlog_at_h:g} h; "
            f"{day.left_frames:,.0f} left at the end"
        )


def _bill(case: Case, found: Outcome) -> Iterator[str]:
    bill = found.bill
    if bill is None:
        return
    shown = ", ".join(f"{what} x {count:,} {amount:,.2f}" for what, count, amount in bill.lines)
    yield f"a month of such days, {bill.book}: {bill.total:,.2f} {bill.currency} ({shown})"


def as_dict(case: Case, found: Outcome) -> dict[str, Any]:
    """Return the case and what comes of it as plain values: seconds, bytes, money."""
    times, shown = case.times, ("machine", "machine_busy", "bundle", "split", "codec", "left")
    return {
        "load": asdict(case.load),
        "plant": asdict(case.plant),
        "measured": {name: getattr(times, name) for name in shown},
        "seed": case.seed,
        "hours": case.hours,
        "deadline_s": case.deadline_s,
        "workers": found.workers,
        "too_full": found.too_full.name if found.too_full else None,
        "look": asdict(found.look) if found.look else None,
        "resources": [asdict(use) for use in found.uses],
        "used_up_first": first_used_up(found.uses).name,
        "day": asdict(found.day) if found.day else None,
        "bill": None if found.bill is None else {**asdict(found.bill), "total": found.bill.total},
    }


def check_plot(path: Path) -> None:
    """Say beforehand what would keep a plot from being drawn. Raises: SettingsError, ImportError, OSError."""
    import matplotlib as mpl  # noqa: F401  so that a missing one is said now

    if path.suffix != ".svg":
        raise SettingsError(f"plot: got {str(path)!r}, expected a name that ends in .svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise SettingsError(f"plot: {path} cannot be written, expected a file of yours; check the rights")


def draw(path: Path, case: Case, shown: Sequence[tuple[int, Look]], workers: int) -> None:
    """Draw the latency's percentiles over the number of devices, with the same workers."""
    from headwater.plots import new_figure, save_svg

    title = f"{workers:,} workers, {case.load.frames_per_s:g} pictures/s of each device, split {case.times.split}"
    figure, (axes,) = new_figure(1, title, (6.4, 4.2))
    counts = [count for count, _ in shown]
    for name in (f"p{p}" for p in PERCENTILES):
        values = [look.latency[name] for _, look in shown]
        margins = [value.margin * 1e3 for value in values]
        axes.errorbar(counts, [value.value * 1e3 for value in values], margins, label=name, marker="o", capsize=3)
    axes.axhline(case.deadline_s * 1e3, color="grey", linestyle=":", label="deadline")
    axes.set(xlabel="devices", ylabel="capture to answer, ms", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    save_svg(figure, path)
