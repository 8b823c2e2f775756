"""The commands `headwater models list`, `headwater models build` and `headwater models layers`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from models.manifest import Accuracy
    from models.shelf import Entry, Standing
    from models.zoo.chain import Row


def list_models(
    *,
    bundles: Annotated[list[Path] | None, Parameter(negative="")] = None,
    json: bool = False,
) -> None:
    """List every model that Headwater ships, builds or trains, and which of them are here.

    Example: headwater models list --json

    Args:
        bundles: folder with bundles built or trained here, by default bundles; may be given several times
        json: print a JSON list instead of the table
    """
    from models.errors import ModelError
    from models.shelf import FOLDER, SHELF, standings

    missing = next((folder for folder in bundles or () if not folder.is_dir()), None)
    if missing is not None:
        fault = "is no folder" if missing.exists() else "is not there"
        raise ModelError(f"--bundles {missing} {fault}, expected a folder with bundles; correct it or leave it out")
    folders = bundles or [FOLDER]
    found = [(entry, standings(entry, folders)) for entry in SHELF]
    if json:
        import msgspec

        rows = [_as_dict(entry, here) for entry, here in found]
        print(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        _print_shelf(found)


def build(name: str, /, *, output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("bundles"),
          weights: Path | None = None, seed: int = 0) -> None:  # fmt: skip
    """Write the bundle of a network that is built for timing, not trained.

    Example: headwater models build alexnet --output my-bundles

    Args:
        name: alexnet or vgg16
        output: folder for the bundle
        weights: of vgg16, an .npz with the convolutions of Keras's VGG16; the rest stays random
        seed: draws the random weights
    """
    from models.errors import ModelError
    from models.shelf import entry

    found = entry(name)
    if found.way != "build":
        raise ModelError(f"{name} is trained, not built: {found.command}")
    if weights is not None and name != "vgg16":
        raise ModelError(f"--weights is given for {name}, expected for vgg16 only; leave it out")
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from models.training.timing import Order, build_timing
    with shown_progress() as progress:
        folder = build_timing(Order(name, output, weights, seed), progress)
    print(folder)


def layers(name: str, /, *, json: bool = False) -> None:
    """Show how a document's layer numbers map to cut points, for alexnet, vgg16 or mnist.

    Example: headwater models layers alexnet

    Args:
        name: alexnet, vgg16 or mnist
        json: print a JSON list instead of the table
    """
    from models.layers import rows_of

    rows = rows_of(name)
    if json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        _print_layers(rows)


def _as_dict(entry: Entry, here: Sequence[Standing]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "what": entry.line,
        "document": entry.document or None,
        "tasks": entry.tasks,
        "exits": entry.exits,
        "command": entry.command,
        "state": here[0].state if here else "not here",
        "bundles": [
            {
                "name": one.bundle.name,
                "state": one.state,
                "path": str(one.bundle.folder),
                "bytes": one.bytes,
                "digest": one.bundle.digest,
                "exits": [found.name for found in one.bundle.exits],
                "accuracy": [
                    {"task": found.task, "metric": found.metric, "value": found.value, "pictures": found.pictures}
                    for found in one.bundle.accuracy
                ],
            }
            for one in here
        ],
    }


def _print_shelf(found: Sequence[tuple[Entry, Sequence[Standing]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("name", "here", "size", "measured", "exits", "tasks", "what it says"):
        table.add_column(head, justify="right" if head == "size" else "left", no_wrap=head not in {"what it says"})
    for entry, here in found:
        exits = {1: entry.exits[0] if entry.exits else "", 0: ""}.get(len(entry.exits), f"{len(entry.exits)} exits")
        about = [exits, ", ".join(entry.tasks), entry.line]
        if not here:
            table.add_row(entry.name, "", "", "", *about)
        for place, one in enumerate(here):
            row = [one.bundle.name, one.state, f"{one.bytes:,}", _measured(one)]
            table.add_row(*row, *(about if place == 0 else ("", "", "")))
    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)
    print("\nwhat makes one that is not here:")
    for entry, here in found:
        if not here:
            print(f"  {entry.command}")


def _measured(one: Standing) -> str:
    units = {task.name: task.unit for task in one.bundle.tasks}
    first: dict[str, str] = {}
    for found in one.bundle.accuracy:
        first.setdefault(found.task, f"{found.task} {_figure(found, units.get(found.task))}")
    return ", ".join(first.values())


def _figure(found: Accuracy, unit: str | None) -> str:
    if found.metric == "accuracy":
        return f"{found.value:.1%}"
    if found.metric == "mean absolute error":
        return f"±{found.value:.2f} {unit or ''}".rstrip()
    return f"{found.value:.2f} {found.metric}"


def _print_layers(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("layer", "in the document", "output", "bytes", "cut point", ""):
        table.add_column(head, justify="right" if head in {"layer", "bytes"} else "left", no_wrap=True)
    for row in rows:
        shape = "x".join(map(str, row.shape))
        table.add_row(str(row.number), row.text, shape, f"{row.bytes:,}", row.cut_point or "", row.note)
    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)
