"""Print every benchmark's ratios, and keep them with the machine they were measured on.

Example: python -m benchmarks cutting stream
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.readme import README, with_table
from models.runtime import runtime_name

NAMES = ("cutting", "stream", "worker", "codecs", "papers", "memory", "function", "peers", "safety")
ON_REQUEST = ("engines",)
"""What says little without a GPU; it runs when it is named."""
RESULTS = Path("docs/results/bench.json")


def machine() -> dict[str, str | int | None]:
    """Return what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "runtime": runtime_name(),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
    }


def show(name: str, rows: list[Row], console: Console) -> None:
    """Print one benchmark's rows as a table."""
    table = Table("measured", "value", "goal", "", title=name, title_justify="left", box=None)
    for row in rows:
        table.add_row(row.what, row.text(), row.goal_text(), row.verdict())
    console.print(table, "")


def main() -> None:
    """Run the benchmarks named on the command line, or all but those on request."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    unknown = sorted(set(names) - {*NAMES, *ON_REQUEST})
    if unknown:
        sys.exit(f"benchmarks: got {unknown[0]!r}, expected some of {', '.join((*NAMES, *ON_REQUEST))}")
    console = Console()
    results = {"machine": machine(), "benchmarks": {}}
    for name in names:
        run: Callable[[], list[Row]] = importlib.import_module(f"benchmarks.{name}").run
        with console.status(name):
            rows = run()
        show(name, rows, console)
        results["benchmarks"][name] = [row.as_dict() for row in rows]
    if set(names) == set(NAMES):
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        README.write_text(with_table(README.read_text(), results))
        console.print(f"kept in {RESULTS} and {README}")


if __name__ == "__main__":
    main()
