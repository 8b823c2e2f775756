"""What a soak showed, as lines, as CSV and as a plot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from evaluation.frame_times import machine
from evaluation.load_report import PERCENTS, busiest_part
from evaluation.load_report import lines as load_lines
from evaluation.soak import LEAST_BYTES, LEAST_SHARE, Trend, not_flat
from evaluation.soak_run import Soaked
from models.columns import in_columns

NAME: Final = "soak"
_COLUMNS: Final = ("process", "MB", "rises by", "may by", "MB an hour", "open files", "threads", "")


def lines(found: Soaked) -> Iterator[str]:
    """Return the counts, the latency and who was busiest, then the trend of each process and the verdict."""
    yield from load_lines(found.loaded)
    yield ""
    yield in_columns(_COLUMNS, [_row(one) for one in found.trends], _COLUMNS[1:-1])
    yield ""
    grown = not_flat(found.trends)
    if not found.trends:
        yield "no process was looked at twice after the warm-up"
    else:
        yield f"NOT flat: {', '.join(grown)}" if grown else "flat: every process"
    yield (
        f"(after {found.from_s:.0f} s of warm-up a line through the samples may rise by {LEAST_BYTES / 1e6:g} MB or "
        f"{LEAST_SHARE:.0%}, and by less than one open file or thread; on {machine()})"
    )


def _row(one: Trend) -> list[str]:
    return [
        one.process,
        f"{one.first_bytes / 1e6:.1f}",
        f"{one.rise_bytes / 1e6:+.2f}",
        f"{one.bound_bytes / 1e6:.1f}",
        f"{one.bytes_per_hour / 1e6:+.2f}",
        f"{one.rise_files:+.1f}",
        f"{one.rise_threads:+.1f}",
        f"NOT flat: {', '.join(one.grown)}" if one.grown else "flat",
    ]


def save(folder: Path, found: Soaked) -> None:
    """Write soak.csv with every sample, soak-summary.csv with the trends, and soak.svg."""
    from headwater.plots import write_csv

    samples = [
        {"at_s": f"{one.at_s:.1f}", "process": one.process, "resident_MB": f"{one.resident_bytes / 1e6:.2f}",
         "open_files": one.files, "threads": one.threads}
        for one in found.samples
    ]  # fmt: skip
    write_csv(folder / f"{NAME}.csv", samples)
    write_csv(folder / f"{NAME}-summary.csv", [{**_entry(one), **_load(found)} for one in found.trends])
    _plot(folder / f"{NAME}.svg", found)


def _entry(one: Trend) -> dict[str, Any]:
    return {
        "process": one.process,
        "first_MB": f"{one.first_bytes / 1e6:.2f}",
        "rise_MB": f"{one.rise_bytes / 1e6:.3f}",
        "bound_MB": f"{one.bound_bytes / 1e6:.2f}",
        "rise_open_files": f"{one.rise_files:.2f}",
        "rise_threads": f"{one.rise_threads:.2f}",
        "seconds": f"{one.seconds:.0f}",
        "grown": "; ".join(one.grown),
    }


def _load(found: Soaked) -> dict[str, Any]:
    loaded = found.loaded
    return {
        "devices": loaded.devices,
        "rate": loaded.rate,
        "frames_per_s": f"{loaded.frames_per_s:.1f}",
        **{f"p{percent}_ms": f"{loaded.latencies.percentile_s(percent) * 1e3:.2f}" for percent in PERCENTS},
        "captured": loaded.counts.captured,
        "answered": loaded.counts.answered,
        "sent_again": loaded.counts.sent_again,
        "held_back": loaded.counts.held_back,
        "refused": loaded.counts.refused,
        "unanswered": loaded.counts.unanswered,
        "busiest": busiest_part(loaded).name,
        "busiest_share": f"{busiest_part(loaded).share:.3f}",
        "machine": machine(),
    }


def _plot(path: Path, found: Soaked) -> None:
    from headwater.plots import new_figure, save_svg

    loaded = found.loaded
    title = f"{loaded.devices} devices, {loaded.rate:g} frames/s each" if loaded.rate else f"{loaded.devices} devices"
    figure, (left, right) = new_figure(2, title, (5.2, 3.8))
    for one in found.trends:
        own = [sample for sample in found.samples if sample.process == one.process]
        left.plot(
            [sample.at_s / 60 for sample in own], [sample.resident_bytes / 1e6 for sample in own], label=one.process
        )
    left.axvline(found.from_s / 60, color="0.6", linestyle=":", linewidth=1)
    left.set(xlabel="minutes", ylabel="MB", title="resident memory", ylim=(0, None))
    left.legend(fontsize=7)
    pairs = list(zip(found.answered, found.answered[1:], strict=False))
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]
    right.plot([b[0] / 60 for _, b in pairs], rates, color="C0", linewidth=0.8)
    right.set(xlabel="minutes", ylabel="frames/s", title="answered", ylim=(0, None))
    for axes in (left, right):
        axes.grid(axis="y", alpha=0.3)
    save_svg(figure, path)
