"""The command `headwater models import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from models.branches.add import Row, Wish
    from models.importing.request import Imported


def import_(
    file: Path,
    /,
    *,
    labels: str | None = None,
    task: Annotated[list[str] | None, Parameter(negative="")] = None,
    name: str | None = None,
    value_range: tuple[float, float] | None = None,
    colour: Literal["RGB", "BGR", "grey"] | None = None,
    crop: Literal["none", "centre", "region", "face"] = "none",
    scores: Literal["probabilities", "logits"] | None = None,
    data: Path | None = None,
    add_exits: str | None = None,
    exits: Annotated[int, Parameter(validator=Number(gte=1, lte=4))] = 1,
    max_loss: Annotated[float, Parameter(validator=Number(gte=0, lte=100))] = 1.0,
    distil: bool = False,
    int8: bool = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    threads: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1,
    seed: int = 0,
    description: str = "",
    licence: str = "not stated",
    source: str = "not stated",
    json: bool = False,
) -> None:
    """Make a bundle of your own model, and give it early exits.

    Example: headwater models import street.tflite --data pictures --add-exits auto -o my-bundles/street

    A .tflite file needs no TensorFlow, a .keras file does. Input size, probabilities or logits, and classification or
    regression are read from the file; with --data also the range of pixel values is found, the accuracy is measured,
    and exits can be trained on the frozen network. docs/import.md says how places are chosen.

    Args:
        file: the .tflite or .keras file
        labels: the labels in the order of the scores, as a,b,c or a text file with one a line; by default the
            folders of --data in alphabetical order
        task: NAME of the one task; with several outputs NAME=OUTPUT:LABELS for each (a number: NAME=OUTPUT:UNIT)
        name: of the bundle, by default that of the file
        value_range: what pixel values 0 and 255 become, such as -1 1
        colour: the order of colours that the model wants
        crop: what of a picture the model sees
        scores: what the outputs are, where the file does not tell
        data: labelled pictures: a folder of one folder per label, one with labels.csv, a tar, or an .npz
        add_exits: auto, or the cut points behind which exits are wanted, with commas
        exits: how many exits auto may choose
        max_loss: the points of accuracy that exits may cost where places are chosen
        distil: teach the branches half with the model's own final answers
        int8: quantise a Keras model, its ranges shown by --data
        output: the bundle's folder, by default its name
        threads: LiteRT threads
        seed: of the training of exits
        description: one sentence for the bundle
        licence: of the model and its data, for the model card
        source: what the model was trained on, for the model card
        json: print what was done as JSON
    """
    from models.importing.request import Request
    from models.importing.run import import_model
    from models.training.terminal import shown_progress

    request = Request(
        file=file, name=name, labels=labels, tasks=tuple(task or ()), value_range=value_range, colour=colour,
        crop=crop, scores=scores, data=data, exits=_wish(add_exits, exits, max_loss / 100, distil, seed), int8=int8,
        output=output, threads=threads, seed=seed, description=description, licence=licence, source=source,
    )  # fmt: skip
    with shown_progress() as bar:
        done = import_model(request, bar)
    if json:
        _print_json(done)
    else:
        _print(done)


def _wish(add_exits: str | None, count: int, max_loss: float, distil: bool, seed: int) -> Wish | None:
    from models.branches.add import Wish
    from models.branches.train import Settings
    from models.importing.wishes import ImportFailed

    if add_exits is None:
        if distil:
            raise ImportFailed("--distil is for exits, got none; add --add-exits auto")
        return None
    places = tuple(name.strip() for name in add_exits.split(",")) if add_exits != "auto" else ()
    if add_exits != "auto" and not all(places):
        raise ImportFailed(f"--add-exits is {add_exits!r}, expected auto or names of cut points; correct it")
    return Wish(places, count, max_loss, settings=Settings(teacher=0.5 if distil else 0.0, seed=seed))


def _print_json(done: Imported) -> None:
    import msgspec

    found = {
        "folder": str(done.folder),
        "bundle": done.manifest,
        "candidates": done.rows,
        "shares": done.measured.outcome.shares if done.measured and done.measured.outcome else None,
        "notes": done.notes,
    }
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def _print(done: Imported) -> None:
    if done.rows:
        _print_table(done.rows)
    for row in done.measured.accuracy if done.measured else ():
        value = f"{row.value:.3g}" if row.low is None else f"{row.value:.1%} ({row.low:.1%} to {row.high:.1%})"
        print(f"{row.task}, {row.metric}: {value}, {row.pictures} pictures, {row.data}")
    if done.measured and done.measured.outcome:
        left = zip(done.manifest.exits, done.measured.outcome.shares, strict=False)
        shares = ", ".join(f"{share:.0%} leave at {one.name} (behind {one.after})" for one, share in left)
        print(f"with thresholds set by hand {shares}; find better ones: headwater models calibrate {done.folder}")
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    print(done.folder)


def _print_table(rows: tuple[Row, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("cut point", no_wrap=True)
    figures = [*rows[0].accuracy, *(f"error of {task}" for task in rows[0].error)]
    for head in ("bytes", "MAdds", "of whole", *figures, "% per M", "leave", "expected MAdds", ""):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        said = [f"{value:.1%}" for value in row.accuracy.values()] + [f"{value:.3g}" for value in row.error.values()]
        work = [f"{row.bytes:,}", f"{row.madds / 1e6:.2f} M", f"{row.share_of_madds:.0%}"]
        weighed = [
            f"{100 * row.accuracy_per_million_madds:.2f}",
            f"{row.leaves:.0%}",
            f"{row.expected_madds / 1e6:.2f} M",
        ]
        table.add_row(row.cut_point, *work, *said, *weighed, "chosen" if row.chosen else "")
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
