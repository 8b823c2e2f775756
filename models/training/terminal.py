"""What a long training shows on a terminal: a progress bar, and nothing of what TensorFlow prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError

if TYPE_CHECKING:
    from rich.progress import Progress


class TrainingMissing(ModelError):
    """TensorFlow is not installed."""


@contextmanager
def shown_progress() -> Iterator[Bar]:
    """Yield a bar for a training; meanwhile standard output and standard error are quiet."""
    with _progress() as bar, quiet_output():
        yield Bar(bar)


@contextmanager
def training_imports() -> Iterator[None]:
    """Import what needs TensorFlow, quietly. Raises: TrainingMissing, which names the extra that brings it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_output():
            yield
    except ModuleNotFoundError as error:
        raise TrainingMissing(f"{error.name} is missing, needed to train; pip install 'headwater[training]'") from error


class Bar:
    """Shows the training's steps as one progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._bar = progress, progress.add_task("starting", total=None)

    def expect(self, steps: float) -> None:
        """Say how many steps there will be."""
        self._progress.update(self._bar, total=steps)
        self._progress.start()

    def say(self, text: str) -> None:
        """Name what is being done."""
        self._progress.update(self._bar, description=text)

    def step(self, count: float) -> None:
        """Count steps done."""
        self._progress.advance(self._bar, count)


@contextmanager
def quiet_output() -> Iterator[None]:
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
