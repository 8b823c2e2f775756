"""The commands `headwater models train mnist`, `… cifar-sem1` to `cifar-sem8` and `… cifar-mem`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

_SEMS: Final = range(1, 9)


@dataclass(frozen=True, kw_only=True)
class ShelfSettings:
    """What is asked of a training."""

    epochs: Annotated[int | None, Parameter(validator=Number(gte=1, lte=10_000))] = None
    """How often every picture is seen."""
    blank: Annotated[int, Parameter(validator=Number(gte=0, lte=16))] = 0
    """Side in pixels of a square blanked in every picture seen, against learning by heart; 0: none."""
    seed: int = 0
    """Draws weights, order and changed copies."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("bundles")
    """Folder for the bundles."""
    data_source: str = "not stated"
    """Where the pictures come from, for the model card."""
    data_licence: str = "not stated"
    """Licence of the pictures, for the model card."""


Settings = Annotated[ShelfSettings | None, Parameter(name="*")]


def mnist(*, data: Path, settings: Settings = None) -> None:
    """Train the network for handwritten digits of papers/001 and write its bundles, int8 and float32.

    Example: headwater models train mnist --data mnist.npz

    Args:
        data: MNIST's .npz, or a folder or tar with train/ and test/ of one folder per digit.
    """
    _train("mnist", data, settings)


def cifar_mem(*, data: Path, settings: Settings = None) -> None:
    """Train the CIFAR-10 network of papers/003 with eight exits at once and write its bundles, int8 and float32.

    Example: headwater models train cifar-mem --data cifar10.tar.gz

    A training that was interrupted goes on where it stopped when the same command is given again.

    Args:
        data: CIFAR-10: a folder or tar with train/ and test/ of one folder per label, airplane to truck.
    """
    _train("cifar-mem", data, settings)


def _sem(number: int) -> Callable[..., None]:
    """Return the command that trains the network with one exit, at this place."""

    def train(*, data: Path, settings: Settings = None) -> None:
        _train(f"cifar-sem{number}", data, settings)

    text = (cifar_mem.__doc__ or "").replace("eight exits at once", f"one exit, at place {number} of 8,")
    train.__name__, train.__doc__ = f"cifar_sem{number}", text.replace("cifar-mem", f"cifar-sem{number}")
    return train


cifar_sem1, cifar_sem2, cifar_sem3, cifar_sem4, cifar_sem5, cifar_sem6, cifar_sem7, cifar_sem8 = map(_sem, _SEMS)


def _train(name: str, data: Path, given: ShelfSettings | None) -> None:
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from models.training.classifier import Order, train_classifier
        from models.training.plan import with_blank
        from models.training.plans import plan_of
    settings = given or ShelfSettings()
    plan = plan_of(name, epochs=settings.epochs, seed=settings.seed)
    plan = with_blank(plan, settings.blank) if settings.blank else plan
    order = Order((data,), settings.output, settings.data_source, settings.data_licence)
    with shown_progress() as progress:
        folders = train_classifier(plan, order, progress)
    for folder in folders:
        print(folder)
