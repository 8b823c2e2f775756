"""The commands `headwater models train mnist`, `… cifar-sem1` to `cifar-sem8` and `… cifar-mem`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

Epochs = Annotated[int | None, Parameter(validator=Number(gte=1, lte=10_000))]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
_FOLDER: Final = Path("bundles")
_NOT_STATED: Final = "not stated"
_SEMS: Final = range(1, 9)


def mnist(
    *,
    data: Path,
    epochs: Epochs = None,
    seed: int = 0,
    output: Output = _FOLDER,
    data_source: str = _NOT_STATED,
    data_licence: str = _NOT_STATED,
) -> None:
    """Train the network for handwritten digits of papers/001 and write its bundles, int8 and float32.

    Example: headwater models train mnist --data mnist.npz

    Args:
        data: MNIST's .npz, or a folder or tar with train/ and test/ of one folder per digit
        epochs: how often every picture is seen
        seed: draws weights, order and changed copies
        output: folder for the bundles
        data_source: where the pictures come from, for the model card
        data_licence: licence of the pictures, for the model card
    """
    _train("mnist", data, epochs, seed, output, data_source, data_licence)


def cifar_mem(
    *,
    data: Path,
    epochs: Epochs = None,
    seed: int = 0,
    output: Output = _FOLDER,
    data_source: str = _NOT_STATED,
    data_licence: str = _NOT_STATED,
) -> None:
    """Train the CIFAR-10 network of papers/003 with eight exits at once and write its bundles, int8 and float32.

    Example: headwater models train cifar-mem --data cifar10.tar.gz

    A training that was interrupted goes on where it stopped when the same command is given again.

    Args:
        data: CIFAR-10: a folder or tar with train/ and test/ of one folder per label, airplane to truck
        epochs: how often every picture is seen
        seed: draws weights, order and changed copies
        output: folder for the bundles
        data_source: where the pictures come from, for the model card
        data_licence: licence of the pictures, for the model card
    """
    _train("cifar-mem", data, epochs, seed, output, data_source, data_licence)


def _sem(number: int) -> Callable[..., None]:
    """Return the command that trains the network with one exit, at this place."""

    def train(
        *,
        data: Path,
        epochs: Epochs = None,
        seed: int = 0,
        output: Output = _FOLDER,
        data_source: str = _NOT_STATED,
        data_licence: str = _NOT_STATED,
    ) -> None:
        _train(f"cifar-sem{number}", data, epochs, seed, output, data_source, data_licence)

    text = (cifar_mem.__doc__ or "").replace("eight exits at once", f"one exit, at place {number} of 8,")
    train.__name__, train.__doc__ = f"cifar_sem{number}", text.replace("cifar-mem", f"cifar-sem{number}")
    return train


cifar_sem1, cifar_sem2, cifar_sem3, cifar_sem4, cifar_sem5, cifar_sem6, cifar_sem7, cifar_sem8 = map(_sem, _SEMS)


def _train(
    name: str, data: Path, epochs: int | None, seed: int, output: Path, data_source: str, data_licence: str
) -> None:
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from models.training.classifier import Order, train_classifier
        from models.training.plans import plan_of
    with shown_progress() as progress:
        plan = plan_of(name, epochs=epochs, seed=seed)
        folders = train_classifier(plan, Order((data,), output, data_source, data_licence), progress)
    for folder in folders:
        print(folder)
