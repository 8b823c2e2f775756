"""The command `headwater evaluate links`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from evaluation.links import Cell
    from models.bundle import Bundle

_T = TypeVar("_T")


def links(
    *,
    bundles: str = "litter",
    links: str = "lan,4g,wavelength,region,backbone,luger",
    devices: str = "full,half,quarter,small-memory",
    runs: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 3,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
) -> None:
    """Really run every way of a frame over several links from several devices, against what the planner predicted.

    Example: headwater evaluate links --bundles litter,bundles-224/litter --links lan,4g -o results

    The grid of papers/002's figures 5 to 9, with the links of papers/000 and 001. Links are shaped and delayed between
    two network namespaces, devices are held to a CPU quota or a limit of memory: for root, on Linux. What is measured
    is kept row by row; the same command goes on where it was interrupted, and another adds its cells. Written are
    links.csv, links-summary.csv, links-links.csv, links-work.csv, and a plot of each network's stages, of predicted
    against measured, and of the work. Let nothing else run meanwhile.

    Args:
        bundles: names or folders of bundles, separated by commas; litter at 224 pixels comes from
            `headwater models train litter --size 224`
        links: lan (100 Mbit/s, 1 ms), 4g (11.9, 35.3), wavelength (34.5, 24.16), region (30.43, 31.38), backbone (1356,
            6.636), luger (7.2, 31.38)
        devices: full, half and quarter of a processor core; small-memory: a full core and 256 MiB
        runs: of each way in each cell; the median counts
        output: folder for measurements, tables and plots
    """
    from evaluation import links as grid
    from evaluation.links_records import Records
    from evaluation.links_run import measure
    from headwater.stopping import interrupt_on_signals
    from models.bars import progress_bar

    wanted = _bundles(bundles)
    chosen_links, chosen_devices = _named("--links", links, grid.LINKS), _named("--devices", devices, grid.DEVICES)
    places = [(link, device) for link in chosen_links for device in chosen_devices]
    records = Records(output, runs)
    interrupt_on_signals()  # so that groups and namespaces are taken away
    measure(records, wanted, places, progress_bar, lambda line: print(line, file=sys.stderr, flush=True))
    rows = records.of(wanted, [one.name for one in chosen_links], [one.name for one in chosen_devices])
    found = grid.cells({net: records.known.tried[net].ways for net in wanted}, rows)
    _report(output, found, wanted)


def _report(output: Path, cells: Sequence[Cell], bundles: Mapping[str, Bundle]) -> None:
    """Write the tables and plots, and print what they come to."""
    from evaluation import links_plots as plots
    from evaluation import links_report as report
    from headwater.errors import SettingsError
    from headwater.plots import write_csv
    from models.columns import in_columns
    from models.engine import Engine
    from models.profile import costs

    if not cells:
        raise SettingsError("in no cell every way could be run, so there is nothing to report; see the lines above")
    work = {}
    for net, bundle in bundles.items():
        graph = Engine(bundle.model_path, outputs=bundle.finals, max_cached_parts=1).graph
        work[net] = [one for one in costs(graph.cut_points()) if one.name in bundle.cut_points]
    summary, wholes_s = report.summary_rows(cells), report.wholes_s(cells)
    write_csv(output / "links.csv", report.way_rows(cells))
    write_csv(output / "links-summary.csv", summary)
    write_csv(output / "links-links.csv", report.link_rows(cells))
    write_csv(output / "links-work.csv", report.work_rows(work))
    for net in wholes_s:
        plots.draw_stages(output / f"links-{net}.svg", [cell for cell in cells if cell.net == net])
    plots.draw_predicted(output / "links-predicted.svg", cells)
    plots.draw_work(output / "links-work.svg", work, wholes_s)
    header = list(summary[0])
    print(in_columns(header, [list(row.values()) for row in summary], [name for name in header if name[-1] in "s%B"]))
    for line in report.lines(cells, {net: bundle.input.width for net, bundle in bundles.items()}):
        print(line)
    print(f"tables and plots in {output}")


def _bundles(names: str) -> dict[str, Bundle]:
    """Return bundles by name and size of their pictures. Raises: ModelError, SettingsError."""
    from headwater.errors import SettingsError
    from models.bundle import MANIFEST_FILE, Bundle

    found: dict[str, Bundle] = {}
    for name in _listed(names):
        bundle = Bundle.load(name)
        if not (bundle.folder / MANIFEST_FILE).is_file():
            raise SettingsError(f"--bundles: {name} is no bundle; make one of it: headwater models import {name}")
        size = f"-{bundle.input.width}"
        if found.setdefault(f"{bundle.name.removesuffix(size)}{size}", bundle) is not bundle:
            raise SettingsError(f"--bundles: {name} has the name and size of another one; give only one of them")
    if not found:
        raise SettingsError("--bundles is empty, expected names or folders of bundles, separated by commas")
    return found


def _named(flag: str, asked: str, known: Mapping[str, _T]) -> list[_T]:
    """Return what has these names. Raises: SettingsError."""
    from headwater.errors import SettingsError

    names = _listed(asked)
    if not names or not set(names) <= set(known):
        raise SettingsError(f"{flag}: got {asked!r}, expected some of {', '.join(known)}, separated by commas")
    return [known[name] for name in names]


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
