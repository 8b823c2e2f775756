"""What a long training shows: a progress bar, in a log a line now and then, and nothing of what TensorFlow prints."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from models.errors import ModelError
from models.training.progress import Progress as Shown

if TYPE_CHECKING:
    from rich.progress import Progress

PARTS: Final = 20
"""Lines of a log for the whole of a training, besides those that name what is begun."""


class TrainingMissing(ModelError):
    """TensorFlow is not installed."""


@contextmanager
def shown_progress() -> Iterator[Shown]:
    """Yield what shows a training on standard error; meanwhile it and standard output are quiet."""
    with os.fdopen(os.dup(2), "w", buffering=1) as shown:
        if not shown.isatty():
            with quiet_output():
                yield Lines(shown)
            return
        with _progress(shown) as bar, quiet_output():
            yield Bar(bar)


@contextmanager
def training_imports() -> Iterator[None]:
    """Import what needs TensorFlow, quietly. Raises: TrainingMissing, which names the extra that brings it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_output():
            yield
    except ModuleNotFoundError as error:
        raise TrainingMissing(
            f"{error.name} is missing, needed to train; install the extra training (docs/install.md)"
        ) from error


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


class Lines:
    """Shows the training's steps in a log: a line for what is begun, and one for every twentieth of the whole."""

    def __init__(self, log: TextIO) -> None:
        self._log, self._began_s = log, time.monotonic()
        self._steps, self._done, self._told, self._doing = 0.0, 0.0, 0, "starting"

    def expect(self, steps: float) -> None:
        """Say how many steps there will be."""
        self._steps = steps

    def say(self, text: str) -> None:
        """Name what is being done."""
        self._doing = text
        self._tell()

    def step(self, count: float) -> None:
        """Count steps done."""
        self._done += count
        if self._steps and PARTS * self._done // self._steps > self._told:
            self._told = int(PARTS * self._done // self._steps)
            self._tell()

    def _tell(self) -> None:
        share = f" {self._done / self._steps:.0%}" if self._steps else ""
        self._log.write(f"{timedelta(seconds=round(time.monotonic() - self._began_s))}{share} {self._doing}\n")


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
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)


@contextmanager
def _progress(terminal: TextIO) -> Iterator[Progress]:
    """Yield a progress bar, not started yet."""
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
    bar = Progress(*shown, console=Console(file=terminal))
    try:
        yield bar
    finally:
        if bar.live.is_started:
            bar.stop()
