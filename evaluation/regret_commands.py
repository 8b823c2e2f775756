"""The command `headwater evaluate regret`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.regret import Guess
    from evaluation.regret_records import Records
    from models.bundle import Bundle
    from planning.decide import Rates

NETS = {"mnist": "mnist-fp32", "alexnet": "alexnet", "vgg16": "vgg16"}
"""The document's networks and their bundles."""


def regret(
    *,
    nets: str = "mnist,alexnet,vgg16",
    settings: Annotated[int, Parameter(validator=Number(gte=1, lte=30))] = 15,
    runs: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 3,
    seed: int = 1,
    share: Annotated[float, Parameter(validator=Number(gte=0.01, lte=1))] = 0.1,
    bundles: Path = Path("bundles"),
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
) -> None:
    """Really run every way of a frame in drawn settings, and say how far each predictor's choice is from the best.

    Example: headwater evaluate regret --nets mnist --settings 2 -o results

    The conditions of papers/001: bandwidths of a Poisson, clocks of a normal distribution, three runs, its three
    networks. The clock is a CPU quota, the link is shaped between two network namespaces: for root, on Linux. What is
    measured is kept row by row; the same command goes on where it was interrupted, and only reports once all is there.
    Written are regret.csv, regret-summary.csv, regret-trade.csv and two plots.

    Args:
        nets: of the document's networks these; alexnet and vgg16 come from `headwater models build`
        settings: how many are drawn
        runs: of each way in each setting; the median counts
        seed: draws the settings
        share: of a core of this machine, that the device has at its highest clock; the worker has a whole one
        bundles: folder with the built networks
        output: folder for measurements, tables and plots
    """
    from evaluation.regret import draw_settings
    from evaluation.regret_records import Order, Records
    from evaluation.regret_run import ask, measure
    from headwater.stopping import interrupt_on_signals
    from models.bars import progress_bar
    from models.bundle import find_bundles
    from planning.decide import rates_of
    from planning.prices import load_book

    wanted, rates = _bundles(nets, bundles), rates_of(load_book("luger-2023"), "rent", None)
    records = Records(output, Order(settings, seed, runs, share), draw_settings(settings, seed))
    interrupt_on_signals()  # so that quota and namespaces are taken away
    measure(records, wanted, progress_bar, lambda line: print(line, file=sys.stderr, flush=True))
    _report(output, records, ask(records, wanted, list(find_bundles([]).values()), rates, progress_bar), rates)


def _report(output: Path, records: Records, guesses: Sequence[Guess], rates: Rates) -> None:
    """Write the tables and plots, and print what they come to."""
    from evaluation import regret_report as report
    from evaluation.regret_trade import trade
    from headwater.plots import write_csv
    from models.columns import in_columns

    points, rows = trade(guesses, rates), report.summary_rows(report.summaries(guesses))
    write_csv(output / "regret.csv", report.way_rows(guesses, records.known.settings, rates))
    write_csv(output / "regret-summary.csv", rows)
    write_csv(output / "regret-trade.csv", report.trade_rows(points))
    report.draw_regret(output / "regret.svg", guesses)
    report.draw_trade(output / "regret-trade.svg", points)
    header = list(rows[0])
    print(in_columns(header, [list(row.values()) for row in rows], header[2:]))
    for line in report.trade_lines(points):
        print(line)
    print(f"tables and plots in {output}")


def _bundles(nets: str, folder: Path) -> dict[str, Bundle]:
    """Return the bundle of each network that is asked for. Raises: ModelError."""
    from models.bundle import Bundle
    from models.errors import ModelError

    names = list(dict.fromkeys(name.strip() for name in nets.split(",") if name.strip()))
    wrong = [name for name in names if name not in NETS]
    if wrong or not names:
        raise ModelError(f"--nets is {nets!r}, expected some of {', '.join(NETS)}, separated by commas")
    for name in names:
        if name != "mnist" and not (folder / NETS[name]).is_dir():
            raise ModelError(f"{name} is not in {folder}; make it: headwater models build {name} --output {folder}")
    return {name: Bundle.load(NETS[name] if name == "mnist" else folder / NETS[name]) for name in names}
