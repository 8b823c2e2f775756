"""The command `headwater evaluate costs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

PRINTED_BREAK_EVEN = 150_000


def costs(
    *,
    seconds: Annotated[float | None, Parameter(validator=Number(gt=0, lte=900))] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
) -> None:
    """Work out the documents' tables of costs from their price books, beside what they print.

    Example: headwater evaluate costs -o results

    Written are costs-leroy-2021.csv (tables 3 to 6 of papers/002), costs-thesis-2025.csv and .svg (section 4.4 of
    papers/000: five deployments over requests a month, by the printed and by the list prices).

    Args:
        seconds: that a request takes; by default so long that the printed prices meet at the printed 150,000 requests
        output: folder for the tables and the plot
    """
    from evaluation.costs import deployments, leroy_rows, seconds_at_break_even
    from evaluation.costs_report import draw, leroy_entries, thesis_entries, thesis_lines
    from headwater.plots import write_csv
    from planning.prices import load_book

    rows = leroy_rows(load_book("leroy-2021"))
    write_csv(output / "costs-leroy-2021.csv", leroy_entries(rows))
    books = [load_book(f"thesis-2025-{kind}") for kind in ("printed", "list")]
    taken = seconds or seconds_at_break_even(books[0], PRINTED_BREAK_EVEN)
    found = [deployments(book, taken) for book in books]
    write_csv(output / "costs-thesis-2025.csv", thesis_entries(found))
    draw(output / "costs-thesis-2025.svg", books, taken)
    wrong = [row for row in rows if row.agrees == "no"]
    print(f"papers/002, tables 3 to 6: {len(rows) - len(wrong)} of {len(rows)} printed figures follow from its prices")
    for row in wrong:
        print(f"  table {row.table}, {row.what}: printed {row.printed}, computed {row.computed:g}")
    for line in thesis_lines(found):
        print(line)
    print(f"tables and plot in {output}")
