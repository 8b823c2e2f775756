"""The command `headwater models import`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from models.choices import Colour, Scores

if TYPE_CHECKING:
    from models.branches.add import Row, Wish
    from models.importing.request import Imported, Request


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """What a user says of a model."""

    labels: str | None = None
    """The labels in the order of the scores, as a,b,c or a text file with one a line; by default the folders of --data
    in alphabetical order."""
    task: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """NAME of the one task; with several outputs NAME=OUTPUT:LABELS for each (a number: NAME=OUTPUT:UNIT)."""
    name: str | None = None
    """Of the bundle, by default that of the file."""
    value_range: Annotated[tuple[float, float] | None, Parameter(negative="")] = None
    """What pixel values 0 and 255 become, such as -1 1."""
    colour: Colour | None = None
    """The order of colours that the model wants."""
    crop: Literal["none", "centre", "face"] = "none"
    """What of a picture the model sees."""
    scores: Scores | None = None
    """What the outputs are, where the file does not tell."""
    data: Path | None = None
    """Labelled pictures: a folder of one folder per label, one with labels.csv, a tar, or an .npz. Exits learn from
    their train part alone."""
    add_exits: str | None = None
    """`auto`, or the cut points behind which exits are wanted, with commas."""
    exits: Annotated[int, Parameter(validator=Number(gte=1, lte=4))] = 1
    """How many exits auto may choose."""
    max_loss: Annotated[float, Parameter(validator=Number(gte=0, lte=100))] = 1.0
    """The points of accuracy that exits may cost where places are chosen."""
    distil: bool = False
    """Teach the branches half with the model's own final answers."""
    int8: bool = False
    """Quantise a Keras model, its ranges shown by --data."""
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """The bundle's folder, by default its name."""
    threads: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1
    """LiteRT threads."""
    seed: int = 0
    """Of the training of exits."""
    description: str = ""
    """One sentence for the bundle."""
    licence: str = "not stated"
    """Of the model and its data, for the model card."""
    source: str = "not stated"
    """What the model was trained on, for the model card."""
    json: bool = False
    """Print what was done as JSON."""


def import_(file: Path, /, settings: Annotated[ImportSettings | None, Parameter(name="*")] = None) -> None:
    """Make a bundle of your own model, and give it early exits.

    Example: headwater models import street.tflite --data pictures --add-exits auto -o my-bundles/street

    A .tflite file needs no TensorFlow, a .keras file does. Input size, probabilities or logits, and classification or
    regression are read from the file; with --data also the range of pixel values is found, the accuracy is measured,
    and exits can be trained on the frozen network. docs/import.md says how places are chosen.

    Args:
        file: the .tflite or .keras file
        settings: what the file does not tell, and what is wanted
    """
    from models.importing.run import import_model
    from models.training.terminal import shown_progress

    settings = settings or ImportSettings()
    request = _request(file, settings)
    with shown_progress() as bar:
        done = import_model(request, bar)
    if settings.json:
        _print_json(done)
    else:
        _print(done)


def _request(file: Path, said: ImportSettings) -> Request:
    from models.importing.request import Request

    wish = _wish(said.add_exits, said.exits, said.max_loss / 100, said.distil, said.seed)
    return Request(
        file=file, name=said.name, labels=said.labels, tasks=said.task, value_range=said.value_range,
        colour=said.colour, crop=said.crop, scores=said.scores, data=said.data, exits=wish, int8=said.int8,
        output=said.output, threads=said.threads, seed=said.seed, description=said.description,
        licence=said.licence, source=said.source,
    )  # fmt: skip


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
        print(
            f"with thresholds set by hand {shares}; find better ones on the validation part, which no exit learnt "
            f"from: headwater models calibrate {done.folder} --data …"
        )
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
