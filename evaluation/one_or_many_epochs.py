"""How right each exit is after every epoch of its training, one exit or many: figure 9 of papers/003."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from headwater.plots import new_figure, save_svg
from models.bundle import MANIFEST_FILE
from models.manifest import read_manifest
from models.training.epochs import FILE, read_epochs

KINDS: Final = ("SEM", "MEM")


@dataclass(frozen=True)
class Epoch:
    """One answer of one training after one epoch, every validation picture asked; accuracy in per cent."""

    network: str
    kind: str
    seed: str
    epoch: int
    answer: str
    """An exit's name, or `final`."""
    accuracy: float
    pictures: int


def read_all(paths: Sequence[Path]) -> list[Epoch]:
    """Return what the trainings of these bundles wrote down; a bundle without that file gives nothing.

    Raises: ModelError for a broken one.
    """
    return [row for path in paths if (path / FILE).is_file() for row in _rows(path)]


def _rows(path: Path) -> Iterator[Epoch]:
    manifest = read_manifest(path / MANIFEST_FILE)
    kind, seed = KINDS[len(manifest.exits) > 1], manifest.training.get("seed", "")
    for epoch, answer, share, pictures in read_epochs(path / FILE):
        yield Epoch(manifest.name, kind, seed, epoch, answer, round(100 * share, 2), pictures)


def write_epochs(folder: Path, rows: Sequence[Epoch]) -> None:
    """Write one-or-many-epochs.csv and its plot into a folder; without rows nothing."""
    if not rows:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "one-or-many-epochs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))
    places = sorted({row.answer for row in rows if row.answer != "final"})
    columns = 4
    figure, axes = new_figure(columns, "One exit (full) or eight (broken lines) after each epoch, validation pictures")
    for number, place in enumerate(places):
        _draw(axes[number * columns // max(columns, len(places))], rows, place, f"C{number}")
    for axis in axes:
        axis.set(xlabel="epoch", ylabel="% right at the exit")
        if axis.lines:
            axis.legend(fontsize=7, loc="lower right")
    save_svg(figure, folder / "one-or-many-epochs.svg")


def _draw(axis: Any, rows: Sequence[Epoch], place: str, colour: str) -> None:
    for kind, style in zip(KINDS, ("-", "--"), strict=True):
        found = [row for row in rows if (row.kind, row.answer) == (kind, place)]
        epochs = sorted({row.epoch for row in found})
        means = [statistics.fmean(row.accuracy for row in found if row.epoch == epoch) for epoch in epochs]
        if found:
            axis.plot(epochs, means, style, color=colour, label=f"{kind}, {place}")
