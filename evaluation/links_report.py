"""What links and devices do to the choice of the split, as tables and sentences. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evaluation.links import DOCUMENT, KINDS, Cell, Link, Ran
from models.profile import CutCost

WORKER: Final = "the worker"
NEAR: Final = 0.05
"""A way that is slower by so much is as good as the fastest."""


def way_rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return a row for each way in each cell: measured, and predicted."""
    return [
        {
            "network": cell.net,
            "link": cell.link.name,
            "device": cell.device.name,
            "way": ran.name,
            "bytes": ran.bytes,
            **{f"{name} ms": _ms(taken) for name, taken in ran.stages_s.items()},
            "total ms": _ms(ran.total_s),
            **{f"predicted: {name} ms": _ms(taken) for name, taken in said.stages_s.items()},
            "predicted: total ms": _ms(said.total_s),
            "fastest": int(ran is cell.fastest),
            "chosen": int(ran is cell.chosen),
        }
        for cell in cells
        for ran, said in zip(cell.ran, cell.said, strict=True)
    ]


def summary_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Return a row for each cell: what is fastest, what the planner chooses, and how far it was from the truth."""
    return [
        {
            "network": cell.net,
            "link": cell.link.name,
            "device": cell.device.name,
            "fastest": cell.fastest.name,
            "ms": _short_ms(cell.fastest.total_s),
            "chosen": cell.chosen.name,
            "slower %": f"{100 * (cell.chosen.total_s / cell.fastest.total_s - 1):.1f}",
            "regret %": f"{100 * cell.regret:.2f}",
            "error %": f"{100 * cell.error:.1f}",
            **{f"{kind} ms": _short_ms(one.total_s) if (one := cell.best(kind)) else "" for kind in KINDS},
            "resident MB": f"{max(one.resident_bytes for one in cell.ran) / 1e6:.0f}",
            "charged MB": f"{most / 1e6:.0f}" if (most := max(one.charged_bytes for one in cell.ran)) else "",
        }
        for cell in cells
    ]


def link_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Return a row for each link: as asked for, as the devices measured it, and where its figures come from."""
    links: dict[Link, list[Ran]] = {}
    for cell in cells:
        links.setdefault(cell.link, []).extend(cell.ran)
    return [
        {
            "link": link.name,
            "Mbit/s": f"{link.bandwidth_bits_per_s / 1e6:g}",
            "round trip ms": f"{link.round_trip_s * 1e3:g}",
            "measured Mbit/s": f"{statistics.median(one.bandwidth_bits_per_s for one in ran) / 1e6:.2f}",
            "measured round trip ms": f"{statistics.median(one.round_trip_s for one in ran) * 1e3:.2f}",
            "source": link.source,
        }
        for link, ran in links.items()
    ]


def work_rows(costs: Mapping[str, Sequence[CutCost]]) -> list[dict[str, Any]]:
    """Return a row for each cut point: the multiply-adds of both parts, and what travels between them."""
    return [
        {
            "network": net,
            "split": one.name,
            "device MMAdds": f"{one.madds_head / 1e6:.3f}",
            "worker MMAdds": f"{one.madds_tail / 1e6:.3f}",
            "activation bytes": one.bytes,
        }
        for net, found in costs.items()
        for one in found
    ]


def wholes_s(cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """Return how long the whole network takes by network and instance: each device, and the worker."""
    times: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        of_net = times.setdefault(cell.net, {})
        for one in cell.ran:
            if one.split == "device":
                of_net.setdefault(cell.device.name, []).append(one.head_s)
            elif one.split == "image":
                of_net.setdefault(WORKER, []).append(one.tail_s)
    return {net: {name: statistics.median(each) for name, each in found.items()} for net, found in times.items()}


def lines(cells: Sequence[Cell], sizes: Mapping[str, int]) -> Iterator[str]:
    """Return a line for each network and link: what is fastest on which device, beside the document's finding.

    Then what the planner was worth over all cells, and what the devices took of their memory.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.net, cell.link.name), []).append(cell)
    for (net, link), found in groups.items():
        said = "; ".join(f"{cell.device.name}: {cell.fastest.kind} ({cell.fastest.name})" for cell in found)
        document = DOCUMENT.get((sizes[net], link))
        yield f"{net}, {link}: {said}" + (f" [papers/002 at {sizes[net]}²: {document}]" if document else "")
    slower = [cell.chosen.total_s / cell.fastest.total_s - 1 for cell in cells]
    yield (
        f"planner: the fastest way in {sum(cell.chosen is cell.fastest for cell in cells)} of {len(cells)} cells, "
        f"one at most {NEAR:.0%} slower in {sum(one <= NEAR for one in slower)}; "
        f"{100 * statistics.fmean(slower):.1f} % slower in the mean and {100 * max(slower):.1f} % at worst; "
        f"mean regret {100 * statistics.fmean(cell.regret for cell in cells):.2f} %, "
        f"mean error of the latencies {100 * statistics.fmean(cell.error for cell in cells):.1f} %"
    )
    for cell in (cell for cell in cells if cell.device.memory_bytes):
        most = max(one.charged_bytes for one in cell.ran) / (1 << 20)
        limit = (cell.device.memory_bytes or 0) >> 20
        yield f"{cell.net}, {cell.link.name}: every way ran within {limit} MiB, of which {most:.0f} MiB were used"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4f}"


def _short_ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"
