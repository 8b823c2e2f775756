"""The tables of docs/metrics.md, written from the code: `python -m tests.metrics_page` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cloud_worker import figures as worker_figures
from cloud_worker import http_figures
from edge import figures as edge_figures
from headwater.prometheus import Figure
from visualizer import metrics as site_figures

FILE = Path(__file__).parent.parent / "docs/metrics.md"
PAGES: dict[str, Sequence[Figure]] = {
    "edge": edge_figures.FIGURES,
    "worker": worker_figures.FIGURES,
    "worker-http": http_figures.FIGURES,
    "visualizer": site_figures.FIGURES,
}
"""The figures of each command."""


def written() -> str:
    """Return the page with its tables as the code has them now."""
    page = FILE.read_text()
    for part, figures in PAGES.items():
        begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
        before, _, rest = page.partition(begin)
        page = before + begin + table(figures) + end + rest.partition(end)[2]
    return page


def table(figures: Sequence[Figure]) -> str:
    """Return the table of one process."""
    rows = ["| figure | type | labels | what it says |", "|---|---|---|---|"]
    rows += [f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.text} |" for one in figures]
    return "\n".join(rows) + "\n"


def told(part: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what the page tells of a process: type and labels by the figure's name."""
    text = FILE.read_text().partition(f"<!-- {part}: begin -->")[2].partition(f"<!-- {part}: end -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \|", text, re.MULTILINE)
    return {name: (kind, tuple(labels.split(", ")) if labels else ()) for name, kind, labels in rows}


if __name__ == "__main__":
    FILE.write_text(written())
