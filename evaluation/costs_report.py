"""The documents' costs as tables, sentences and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.costs import Deployments, Row
from planning.prices import PriceBook

REGION, EDGE = "EC2 in the region", "EC2 at the edge"


def leroy_entries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row per printed figure, with how it follows from the computed one."""
    return [
        {
            "table": row.table,
            "what": row.what,
            "printed": row.printed,
            "computed": f"{row.computed:.10g}",
            "agrees": row.agrees,
            "note": row.note,
        }
        for row in rows
    ]


def thesis_entries(found: Sequence[Deployments]) -> list[dict[str, Any]]:
    """Return a row per price book and deployment."""
    return [
        {
            "book": one.book,
            "deployment": name,
            "USD a month": f"{value:.3f}",
            "to the region's": f"{value / one.month[REGION]:.2f}",
            "USD a million requests": "0",
            "break-even": "",
        }
        for one in found
        for name, value in one.month.items()
    ] + [
        {
            "book": one.book,
            "deployment": f"Lambda, {one.seconds:.3f} s a request",
            "USD a month": "0",
            "to the region's": "",
            "USD a million requests": f"{one.per_million:.2f}",
            "break-even": "" if one.break_even is None else f"{one.break_even:.0f}",
        }
        for one in found
    ]


def thesis_lines(found: Sequence[Deployments]) -> Iterator[str]:
    """Return what stands in the thesis's section 4.4, in a line per price book."""
    for one in found:
        edge, split = (one.month[name] / one.month[REGION] for name in (EDGE, "split, with or without exits"))
        meeting = "never" if one.break_even is None else f"at {one.break_even:,.0f} requests a month"
        yield (
            f"{one.book}: edge {edge:.2f} and split {split:.2f} times the region's {one.month[REGION]:.2f} USD a month "
            f"(thesis: 1.3 and 2.3); Lambda meets it {meeting} with {one.seconds:.3f} s a request (thesis: 150,000)"
        )


def draw(path: Path, books: Sequence[PriceBook], seconds: float) -> None:
    """Draw figure 4.4 of the thesis by each book: what a month costs over the requests in it."""
    from headwater.plots import new_figure, save_svg

    figure, panels = new_figure(len(books), f"A month's cost over its requests, {seconds:.3f} s each", (5.6, 4.2))
    requests = np.logspace(3, 7.5, 200)
    for axes, book in zip(panels, books, strict=True):
        region, edge = (book.server_bill(name) for name in ("region", "wavelength"))
        for name, bill in (
            (REGION, region),
            (EDGE, edge),
            ("split: both", region + edge),
            ("Lambda", book.function_bill("lambda", seconds)),
        ):
            axes.plot(requests, [bill.month(count) for count in requests], label=name)
        axes.set(xscale="log", yscale="log", xlabel="requests a month", ylabel="USD a month", title=book.name)
        axes.set_ylim(0.1, 2000)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_svg(figure, path)
