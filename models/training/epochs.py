"""How right every answer of a network was after each epoch of its training, in a file that an interruption leaves."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from models.errors import ModelError

FILE: Final = "epochs.csv"
HEADS: Final = ("epoch", "answer", "accuracy", "pictures")


class Epochs:
    """Writes down the accuracies after each epoch; a training that goes on after an interruption adds to them."""

    def __init__(self, path: Path, pictures: int, look: Callable[[], Mapping[str, float]]) -> None:
        """`look` gives the share of right answers by answer, 0 to 1, of this many pictures."""
        self._path, self._pictures, self._look = path, pictures, look

    def __call__(self, epoch: int) -> None:
        """Write down what the network says after this epoch, the first is 0; it and later ones are forgotten before."""
        before = read_epochs(self._path) if self._path.is_file() else []
        rows = [row for row in before if row[0] <= epoch]
        rows += [(epoch + 1, answer, round(share, 4), self._pictures) for answer, share in self._look().items()]
        partial = self._path.with_name(f"{self._path.name}.partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEADS, *rows])
        partial.replace(self._path)


def read_epochs(path: Path) -> list[tuple[int, str, float, int]]:
    """Return epoch (from 1), answer, accuracy (0 to 1) and pictures of every row.

    Raises: ModelError for a file that is broken or breaks off.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(text.splitlines()))
        if rows[:1] != [list(HEADS)] or not text.endswith("\n"):
            raise ValueError
        return [(int(epoch), answer, float(accuracy), int(n)) for epoch, answer, accuracy, n in rows[1:]]
    except ValueError as error:
        raise ModelError(
            f"{path} is broken, expected whole lines of {','.join(HEADS)}; remove it and go without its epochs"
        ) from error
