"""What links and devices do to the choice of the split, drawn as in papers/002, figures 5 to 9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation.links import Cell
from headwater.plots import new_figure, save_svg
from models.profile import CutCost

COLOURS: Final = {"crop": "C7", "head": "C1", "encode": "C8", "link": "C4", "decode": "C9", "tail": "C0"}
_HIGHEST: Final = 4.0
"""Bars end at so many times the fastest way; what is higher says how high."""


def draw_stages(path: Path, cells: Sequence[Cell]) -> None:
    """Draw one network's cells, links down and devices across: every way's stages, a dash where the planner saw it."""
    devices = list(dict.fromkeys(cell.device.name for cell in cells))
    links = list(dict.fromkeys(cell.link for cell in cells))
    title = f"{cells[0].net}: one frame by split, measured; predicted: black dashes; the fastest: green"
    figure, panels = new_figure(len(devices) * len(links), title, (5.6, 3.4), len(devices))
    found = {(cell.link, cell.device.name): cell for cell in cells}
    places = [(link, device) for link in links for device in devices]
    for axes, (link, device) in zip(panels, places, strict=True):
        cell = found.get((link, device))
        if cell is None:
            axes.set_axis_off()
            continue
        _draw_cell(axes, cell)
        axes.set_title(f"{link}, {device}", fontsize=9)
    panels[0].legend(fontsize=7, ncols=3, loc="upper center")
    save_svg(figure, path)


def _draw_cell(axes: Any, cell: Cell) -> None:
    top_ms = _HIGHEST * cell.fastest.total_s * 1e3
    across = range(len(cell.ran))
    below = [0.0] * len(cell.ran)
    for name, colour in COLOURS.items():
        heights = [one.stages_s[name] * 1e3 for one in cell.ran]
        axes.bar(across, heights, bottom=below, color=colour, label=name, width=0.8)
        below = [under + height for under, height in zip(below, heights, strict=True)]
    said_ms = [one.total_s * 1e3 for one in cell.said]
    axes.plot(across, said_ms, linestyle="none", marker="_", markersize=9, color="black", label="predicted")
    for place, total_ms in enumerate(below):
        if total_ms > top_ms:
            axes.text(place, 0.97 * top_ms, f"{total_ms:.0f}", ha="center", va="top", fontsize=6, rotation=90)
    axes.set_ylim(0, min(top_ms, 1.25 * max(*below, *said_ms)))
    axes.set_xticks(list(across), [one.name.removesuffix(" native") for one in cell.ran], rotation=90, fontsize=6)
    axes.get_xticklabels()[cell.ran.index(cell.fastest)].set(color="C2", fontweight="bold")
    axes.set_ylabel("ms")
    axes.grid(axis="y", alpha=0.3)


def draw_predicted(path: Path, cells: Sequence[Cell]) -> None:
    """Draw every way's predicted over its measured latency, a panel for each network."""
    nets = list(dict.fromkeys(cell.net for cell in cells))
    links = list(dict.fromkeys(cell.link.name for cell in cells))
    devices = list(dict.fromkeys(cell.device.name for cell in cells))
    figure, panels = new_figure(len(nets), "A frame's latency as the planner predicts it and as measured", (5.2, 4.8))
    for axes, net in zip(panels, nets, strict=True):
        own = [cell for cell in cells if cell.net == net]
        for cell in own:
            axes.plot(
                [one.total_s * 1e3 for one in cell.ran], [one.total_s * 1e3 for one in cell.said], linestyle="none",
                marker="osv^"[devices.index(cell.device.name) % 4], markersize=4, alpha=0.6,
                color=f"C{links.index(cell.link.name)}", label=f"{cell.link.name}, {cell.device.name}",
            )  # fmt: skip
        ends = [edge(one.total_s for cell in own for one in cell.ran) * 1e3 for edge in (min, max)]
        axes.plot(ends, ends, color="black", linewidth=0.8)
        axes.set(title=net, xscale="log", yscale="log", xlabel="measured, ms", ylabel="predicted, ms")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=5, ncols=2)
    save_svg(figure, path)


def draw_work(path: Path, costs: Mapping[str, Sequence[CutCost]], wholes_s: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the multiply-adds of both parts of every split, and below the whole network's time on each instance."""
    figure, panels = new_figure(2 * len(costs), "Where the work lies", (5.6, 3.6), len(costs))
    for axes, below, (net, found) in zip(panels, panels[len(costs) :], costs.items(), strict=False):
        names = [one.name for one in found]
        heads, tails = ([value / 1e6 for value in each] for each in _works(found))
        axes.bar(names, heads, color=COLOURS["head"], label="device")
        axes.bar(names, tails, bottom=heads, color=COLOURS["tail"], label="worker")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axes.set(title=net, ylabel="million multiply-adds")
        axes.legend(fontsize=7, loc="lower right")
        times = wholes_s.get(net, {})
        below.bar(list(times), [one * 1e3 for one in times.values()], color=COLOURS["link"])
        below.set(title=f"{net}: the whole network", ylabel="ms a picture")
    save_svg(figure, path)


def _works(found: Sequence[CutCost]) -> tuple[list[int], list[int]]:
    return [one.madds_head for one in found], [one.madds_tail for one in found]
