"""The deployments side by side: a table, a CSV of every stamp, and the two figures of papers/000."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.deployments import Measured
from evaluation.stamps import QUANTITIES, spread
from models.columns import in_columns


def entries(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return a row for every deployment and quantity: what it is, and its mean, median and 95th percentile."""
    return [entry for one in measured for entry in _entries(one)]


def _entries(one: Measured) -> list[dict[str, Any]]:
    pictures = len(one.stamps)
    rows: list[tuple[str, str, str, float, float | None, float | None]] = []
    for name, (meaning, of) in QUANTITIES.items():
        found = spread([1e3 * value for stamps in one.stamps if (value := of(stamps)) is not None])
        if found is not None:
            rows.append((name, meaning, "ms", found.mean, found.p50, found.p95))
    sent = spread(one.sent_bytes)
    if sent is not None:
        rows.append(("sent", "of a picture, as body or message", "B", sent.mean, sent.p50, sent.p95))
    rows.append(("answered on the device", "share of the pictures", "%", 100 * one.stayed / pictures, None, None))
    if one.first_s is not None:
        rows.append(("first request", "with the cold start", "ms", 1e3 * one.first_s, None, None))
    return [
        {
            "deployment": one.name,
            "quantity": name,
            "meaning": meaning,
            "unit": unit,
            "mean": round(mean, 3),
            "p50": "" if p50 is None else round(p50, 3),
            "p95": "" if p95 is None else round(p95, 3),
            "pictures": pictures,
        }
        for name, meaning, unit, mean, p50, p95 in rows
    ]


MOST_BUSY = 0.5
COLUMNS = ("pictures", "total", "p50", "p95", "compute 1", "compute 2", "communication", "on device", "sent, B")


def table(measured: Sequence[Measured]) -> str:
    """Return a line for each deployment, times in milliseconds."""
    rows = []
    for one in measured:
        found = {entry["quantity"]: entry for entry in _entries(one)}
        times = [found["total"][key] for key in ("mean", "p50", "p95")]
        times += [found[key]["mean"] for key in ("compute 1", "compute 2", "communication")]
        stayed, sent = found["answered on the device"]["mean"], found["sent"]["mean"]
        shown = (f"{value:.2f}" for value in times)
        rows.append([one.name, f"{len(one.stamps):,}", *shown, f"{stayed:.0f} %", f"{sent:,.0f}"])
    return in_columns(["ms", *COLUMNS], rows, COLUMNS)


def crowded(measured: Sequence[Measured], rate: float) -> list[str]:
    """Return a line for each deployment that computed for more than half of the time between two pictures.

    Where pictures come without regard to the answer before, they then wait for each other; where one is asked after the
    other, they cannot: the two are no longer comparable.
    """
    found = []
    for one in measured:
        busy = rate * _mean_ms(one, "compute 1") / 1e3 + rate * _mean_ms(one, "compute 2") / 1e3
        if busy > MOST_BUSY:
            found.append(
                f"{one.name}: computing took {busy:.0%} of the time between two pictures, expected at most "
                f"{MOST_BUSY:.0%}, so they waited for each other and the deployments do not compare; lower --rate"
            )
    return found


def draw(path: Path, measured: Sequence[Measured], title: str) -> None:
    """Write the distribution of the totals and what their means are made of. Source: papers/000, figures 4.2, 4.3."""
    from headwater.plots import new_figure, save_svg

    figure, (totals, parts) = new_figure(2, title, panel=(6.4, 3.6))
    names = [one.name for one in measured]
    places = range(len(names))
    values = [[1e3 * stamps.total_s for stamps in one.stamps] for one in measured]
    totals.boxplot(values, orientation="horizontal", positions=places, widths=0.6, medianprops={"color": "C1"})
    totals.set(title="total latency", xlabel="ms")
    left = [0.0] * len(names)
    for quantity in ("compute 1", "compute 2", "communication"):
        means = [_mean_ms(one, quantity) for one in measured]
        parts.barh(places, means, 0.6, left=left, label=quantity)
        left = [before + mean for before, mean in zip(left, means, strict=True)]
    parts.set(title="what its mean is made of", xlabel="ms")
    figure.legend(*parts.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    for axis in (totals, parts):
        axis.set_yticks(places, names)
        axis.invert_yaxis()
        axis.set_xlim(left=0)
    save_svg(figure, path)


def _mean_ms(one: Measured, quantity: str) -> float:
    return next(float(entry["mean"]) for entry in _entries(one) if entry["quantity"] == quantity)
