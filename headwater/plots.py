"""Figures as CSV, and as SVG files that are the same bytes for the same figures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def new_figure(
    panels: int, title: str, panel: tuple[float, float] = (6.4, 4.8), columns: int | None = None
) -> tuple[Any, list[Any]]:
    """Return a figure of so many panels side by side, or in rows of so many columns, and its axes.

    Each panel has this width and height in inches.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "headwater", "svg.fonttype": "none", "font.size": 9})
    across = columns or panels
    rows = -(-panels // across)
    size = (panel[0] * across, panel[1] * rows)
    figure, axes = plt.subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    figure.suptitle(title)
    return figure, list(axes.flat)


def log_bytes(axes: Any) -> None:
    """Give axes a logarithmic scale of bytes, with ticks at 1, 2 and 5 that say whole numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes per picture")


def save_svg(figure: Any, path: Path) -> None:
    """Write a figure as SVG without its date, and forget it."""
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def write_csv(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write entries with the same keys as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(entries[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)
