"""The command `headwater evaluate one-or-many`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

THRESHOLDS = (0.1, 0.3, 0.5, 0.8)


def one_or_many(
    *,
    data: Path,
    bundles: Annotated[list[Path] | None, Parameter(negative="")] = None,
    precision: Annotated[str, Parameter(help="fp32 or int8")] = "fp32",
    limit: Annotated[int | None, Parameter(validator=Number(gte=10))] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
) -> None:
    """Compare one exit with many on CIFAR-10, as papers/003 did: tables and plots.

    Example: headwater evaluate one-or-many --data cifar10.tar.gz --bundles bundles

    Every `cifar-sem…` and `cifar-mem` that is there is asked about the test part at T = 0.1, 0.3, 0.5 and 0.8. Written
    are one-or-many.csv, one-or-many-exits.csv, one-or-many-epochs.csv (where the trainings left their epochs.csv) and
    their plots.

    Args:
        data: CIFAR-10, as for the training
        bundles: folder with the trained bundles, by default bundles; one for each seed may be given
        precision: which files of the training are asked, fp32 or int8
        limit: at most so many pictures
        output: folder for the tables and plots
    """
    from evaluation.one_or_many import ask, found_networks, row
    from evaluation.one_or_many_epochs import read_all, write_epochs
    from evaluation.one_or_many_plots import plot_all
    from evaluation.one_or_many_report import write_exits, write_rows
    from evaluation.one_or_many_verdict import verdict
    from models.bars import progress_bar
    from models.errors import ModelError

    if precision not in {"fp32", "int8"}:
        raise ModelError(f"--precision is {precision!r}, expected fp32 or int8")
    paths = found_networks(bundles or [Path("bundles")], "-fp32" if precision == "fp32" else "")
    epochs = read_all(paths)
    with progress_bar(f"asking {len(paths)} networks") as progress:
        asked = ask(paths, data, limit, progress)
    rows = [row(one, threshold) for threshold in THRESHOLDS for one in asked]
    write_rows(output / "one-or-many.csv", rows)
    write_exits(output / "one-or-many-exits.csv", asked)
    plot_all(output, rows, asked)
    write_epochs(output, epochs)
    for line in verdict(rows):
        print(line)
    print(f"{len(asked[0].entropy)} pictures, {len(paths)} networks; tables and plots in {output}")
