"""The command `headwater evaluate exits`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.choices import Part

if TYPE_CHECKING:
    from evaluation.exits import Measured
    from models.bundle import Bundle

TIMED = 50


def exits(
    bundle: str,
    /,
    *,
    data: Annotated[list[Path], Parameter(negative="")],
    split: str | None = None,
    part: Part = "test",
    limit: Annotated[int | None, Parameter(validator=Number(gte=10))] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("docs/results"),
) -> None:
    """Measure what early exits do to accuracy and latency, as papers/000 did: a table and plots.

    Example: headwater evaluate exits faces --data utkface_200px.tar --data utkface_64px.tar

    The same pictures are judged without exits, with the bundle's own thresholds, and with the document's (entropy 0.6
    for gender, 0.8 for age group). Written are exits-NAME.csv and the plots exits-NAME-sureness.svg, -paths.svg and
    -confusion.svg.

    Args:
        bundle: a bundle with exits: its name or folder
        data: labelled pictures: a folder, .tar or .npz; may be given several times
        split: where the plain split is cut; by default behind the last exit
        part: which of the pictures; test is what neither training nor calibration saw
        limit: at most so many pictures of each source
        output: folder for the table and the plots
    """
    from evaluation.exits_report import save, sentences, table
    from models.bundle import Bundle

    found = Bundle.load(bundle)
    measured = _measured(found, data, split, part, limit)
    save(output, measured)
    _print_table(table(measured))
    print("\n".join(sentences(measured)))
    print(f"written: {output}/exits-{found.name}.csv and -sureness.svg, -paths.svg, -confusion.svg", file=sys.stderr)


def _measured(bundle: Bundle, data: Sequence[Path], split: str | None, part: Part, limit: int | None) -> Measured:
    """Ask the bundle about the pictures and measure its stages, with a bar."""
    from evaluation.exits import measure_stages, measured
    from models.bars import counting_bar
    from models.judge import judge, one_rule
    from models.parts import chosen_of_all, seen

    one_rule(bundle)
    cut = _split(bundle, split)
    samples = chosen_of_all(bundle, data, part, limit)
    with counting_bar(f"asking {bundle.name}", len(samples)) as tick:
        judged = judge(bundle, samples, tick=tick)
    timed = [seen(bundle, sample) for sample in judged.samples[:TIMED]]
    return measured(bundle, judged.answers, measure_stages(bundle, cut, timed))


def _split(bundle: Bundle, asked: str | None) -> str:
    """Return where the plain split is cut. Raises: ModelError for no cut point, or one before an exit."""
    from models.engine import DEVICE, IMAGE, Engine
    from models.errors import ModelError
    from models.stages import exits_before

    engine = Engine(bundle.model_path, outputs=bundle.finals)
    last = exits_before(engine, bundle, DEVICE)[-1].after
    names = [IMAGE, *(point.name for point in engine.graph.cut_points()), DEVICE]
    cut, expected = asked or last, f"expected {last} or one behind it, or {DEVICE}"
    if cut not in names:
        raise ModelError(f"--split {cut} is no cut point of {bundle.name}, {expected}")
    if names.index(cut) < names.index(last):
        raise ModelError(f"--split {cut} lies before an exit of {bundle.name}, {expected}")
    return cut


def _print_table(entries: Sequence[Mapping[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in entries[0]:
        shown.add_column(head)
    for entry in entries:
        shown.add_row(*(str(value) for value in entry.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)
