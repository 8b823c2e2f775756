"""What more workers, devices and frames do, as a table, as CSV and as a plot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.frame_times import machine
from evaluation.load_report import busiest_part
from evaluation.scale import Costs, Row
from models.columns import in_columns

_COLUMNS = ("load", "workers", "devices", "frames/s", "p50 ms", "p95", "p99", "broker", "store", "worker", "all cores")


@dataclass(frozen=True)
class Report:
    """All that was measured of one model, split and codec."""

    bundle: str
    split: str
    codec: str
    rows: tuple[Row, ...]
    costs: Costs


def table(report: Report) -> str:
    """Return a line for each run, and what one more device and frame cost."""
    costs = report.costs
    shown = [list(_cells(row).values()) for row in report.rows]
    return "\n".join(
        [
            f"{report.bundle}, split {report.split} {report.codec}, on {machine()}",
            "",
            in_columns(_COLUMNS, shown, _COLUMNS[1:]),
            "",
            "the last four: share of a core, and of all cores",
            f"busiest in the fleet: {busiest_part(report.rows[-1].loaded).name}",
            f"one more device: {costs.broker_device_bytes / 1e3:.1f} kB of the broker's memory",
            f"one more frame: {costs.broker_frame_s * 1e3:.3f} ms of the broker, {costs.store_frame_s * 1e3:.3f} ms of "
            f"the store, {costs.worker_frame_s * 1e3:.3f} ms of workers, {costs.store_frame_bytes:,.0f} B in the store",
        ]
    )


def name_of(bundle: str, split: str) -> str:
    """Return what the files of a report are called."""
    return f"scale-{Path(bundle).stem}-{split.replace('/', '-')}"


def _cells(row: Row) -> dict[str, str]:
    found = row.loaded
    cores = {part.name: f"{part.cores:.0%}" for part in found.parts}
    busy = next(part.share for part in found.parts if part.name == "all cores")
    percents = [f"{found.latencies.percentile_s(percent) * 1e3:.1f}" for percent in (50, 95, 99)]
    first = [row.what, str(row.workers), str(found.devices), f"{found.frames_per_s:.1f}", *percents]
    return dict(zip(_COLUMNS, [*first, cores["broker"], cores["store"], cores["worker"], f"{busy:.0%}"], strict=True))


def save(folder: Path, report: Report) -> None:
    """Write scale-BUNDLE-SPLIT.csv, and .svg with frames a second and latency over the worker processes."""
    from headwater.plots import new_figure, save_svg, write_csv

    about = {"bundle": report.bundle, "split": report.split, "codec": report.codec}
    write_csv(
        folder / f"{name_of(report.bundle, report.split)}.csv",
        [{**about, **_entry(row), **_costs(report, row)} for row in report.rows],
    )
    most = [row for row in report.rows if row.what == "most"]
    paced = [row for row in report.rows if row.what == "paced"]
    figure, (left, right) = new_figure(2, f"{report.bundle}, split {report.split}: worker processes", (4.6, 3.8))
    names = [str(row.workers) for row in most]
    left.bar(names, [row.loaded.frames_per_s for row in most], color="C0")
    left.set(xlabel="worker processes", ylabel="frames/s", title="at most")
    for place, percent in enumerate((50, 95, 99)):
        values = [row.loaded.latencies.percentile_s(percent) * 1e3 for row in paced]
        right.plot(names, values, "o-", color=f"C{place}", label=f"p{percent}")
    right.set(xlabel="worker processes", ylabel="ms", title="sent to answered, at 70 % of that", ylim=(0, None))
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(axis="y", alpha=0.3)
    save_svg(figure, folder / f"{name_of(report.bundle, report.split)}.svg")


def _entry(row: Row) -> dict[str, Any]:
    found = row.loaded
    parts = {part.name: part for part in found.parts}
    return {
        "load": row.what,
        "workers": row.workers,
        "devices": found.devices,
        "rate": "" if found.rate is None else f"{found.rate:.4g}",
        "frames_per_s": f"{found.frames_per_s:.1f}",
        "frame_bytes": f"{found.frame_bytes:.0f}",
        **{f"p{percent}_ms": f"{found.latencies.percentile_s(percent) * 1e3:.2f}" for percent in (50, 95, 99)},
        "refused": found.counts.refused,
        "held_back": found.counts.held_back,
        "unanswered": found.counts.unanswered,
        **{f"{name}_cores": f"{parts[name].cores:.3f}" for name in ("broker", "store", "worker", "load", "all cores")},
        **{f"{name}_MB": f"{parts[name].end_bytes / 1e6:.1f}" for name in ("broker", "store", "worker")},
    }


def _costs(report: Report, row: Row) -> dict[str, str]:
    """Return the costs beside the run in which they were measured, empty cells beside the others."""
    costs = report.costs
    found = {
        "broker_bytes_per_device": f"{costs.broker_device_bytes:.0f}",
        "broker_ms_per_frame": f"{costs.broker_frame_s * 1e3:.4f}",
        "store_ms_per_frame": f"{costs.store_frame_s * 1e3:.4f}",
        "worker_ms_per_frame": f"{costs.worker_frame_s * 1e3:.4f}",
        "store_bytes_per_frame": f"{costs.store_frame_bytes:.0f}",
        "machine": machine(),
    }
    return found if row.what == "fleet" else dict.fromkeys(found, "")
