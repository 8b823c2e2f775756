"""The command `headwater models train bottleneck`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


def bottleneck(
    bundle: str,
    /,
    *,
    data: Path,
    at: str,
    wire_bytes: Annotated[int, Parameter(validator=Number(gte=40, lte=1_000_000))] = 1000,
    channels: Annotated[int, Parameter(validator=Number(gte=1, lte=1024))] = 16,
    width: Annotated[int, Parameter(validator=Number(gte=1, lte=1024))] = 64,
    halvings: Annotated[int, Parameter(validator=Number(gte=0, lte=4))] = 1,
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 15,
    copies: Annotated[int, Parameter(validator=Number(gte=0, lte=1000))] = 16,
    limit: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    seed: int = 0,
    output: Path = Path("bundles"),
) -> None:
    """Lay a learned bottleneck into a model, so that a cut there sends a few hundred bytes, and write its bundle.

    Example: headwater models train bottleneck litter --data pictures --at block_5_add --wire-bytes 900

    The model itself stays as it is and is the teacher; no labels are used to train, only to judge afterwards. The new
    cut point is called bottleneck: int8, entropy-coded by the codec native+zstd.

    Args:
        bundle: a bundle's name or folder
        data: folder, .tar or .npz of pictures such as the model was trained on
        at: the cut point behind which the encoder lies
        wire_bytes: what a picture's code should take on the wire; it takes less where it has not that much to say
        channels: channels of the code
        width: channels of the layers around it
        halvings: how often the encoder halves height and width
        epochs: how often each activation is seen
        copies: changed copies of each picture to learn from
        limit: learn from at most so many pictures, drawn by the seed
        seed: makes a training repeatable on the same machine
        output: folder for the bundle NAME-bottleneck
    """
    from models.bundle import Bundle
    from models.parts import chosen_samples
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from models.training.bottleneck.network import Shape
        from models.training.bottleneck.train import Recipe, train_bottleneck
        from models.training.bottleneck.write import judge, write_bundle

    found = Bundle.load(bundle)
    train, unseen = chosen_samples(found, data, "train", limit, seed), chosen_samples(found, data, "test")
    shape = Shape(halvings=halvings, channels=channels, width=width)
    recipe = Recipe(at, wire_bytes=wire_bytes, shape=shape, epochs=epochs, copies=copies, seed=seed)
    with shown_progress() as progress:
        content = train_bottleneck(found, train, recipe, progress)
        judged = judge(found, content, unseen)
    training = (
        f"Trained by distillation on {len(train)} pictures and {copies} changed copies of each, {epochs} epochs, "
        f"{channels} channels, {halvings} halvings, for {wire_bytes} B, seed {seed}; "
        "the model's own weights are unchanged."
    )
    print(write_bundle(output, found, content, at, training, judged))
    for task, right in judged.right.items():
        was, same, all_ = judged.right_before[task], judged.agreed[task], judged.pictures
        print(f"{task}: right {right} of {all_}, before {was}; same answer {same} of {all_}")
    print(f"{judged.code_bytes:,.0f} B per picture at the cut point bottleneck with native+zstd")
