"""The command `headwater models train bottleneck`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


@dataclass(frozen=True, kw_only=True)
class BottleneckSettings:
    """Where the bottleneck lies, how large it is, and how it is trained."""

    data: Path
    """Folder, .tar or .npz of labelled pictures: of the part train to learn from, of the part test to judge."""
    unlabelled: Path | None = None
    """More pictures to learn from: folder or .tar, nothing known of them; none that is judged is taken."""
    at: str
    """The cut point behind which the encoder lies."""
    wire_bytes: Annotated[int, Parameter(validator=Number(gte=40, lte=1_000_000))] = 1000
    """What a picture's code should take on the wire; it takes less where it has not that much to say."""
    channels: Annotated[int, Parameter(validator=Number(gte=1, lte=1024))] = 16
    """Channels of the code."""
    width: Annotated[int, Parameter(validator=Number(gte=1, lte=1024))] = 64
    """Channels of the layers around it."""
    halvings: Annotated[int, Parameter(validator=Number(gte=0, lte=4))] = 1
    """How often the encoder halves height and width."""
    epochs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 15
    """How often each activation is seen."""
    copies: Annotated[int, Parameter(validator=Number(gte=0, lte=1000))] = 16
    """Changed copies of each picture to learn from."""
    limit: Annotated[int | None, Parameter(validator=Number(gte=2))] = None
    """Learn from at most so many pictures, drawn by the seed."""
    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))] = 0
    """Makes a training repeatable on the same machine."""
    output: Path = Path("bundles")
    """Folder for the bundle NAME-bottleneck."""

    def text(self, pictures: int) -> str:
        """Return in words how it was trained on so many pictures, for the model card."""
        return (
            f"Trained by distillation on {pictures} pictures and {self.copies} changed copies of each, {self.epochs} "
            f"epochs, {self.channels} channels, {self.halvings} halvings, for {self.wire_bytes} B, seed {self.seed}; "
            "the model's own weights are unchanged."
        )


def bottleneck(bundle: str, /, *, settings: Annotated[BottleneckSettings, Parameter(name="*")]) -> None:
    """Lay a learned bottleneck into a model, so that a cut there sends a few hundred bytes, and write its bundle.

    Example: headwater models train bottleneck litter --data pictures --at block_5_add --wire-bytes 900

    The model itself stays as it is and is the teacher; no labels are used to train, only to judge afterwards. The new
    cut point is called bottleneck: int8, entropy-coded by the codec native+zstd.

    Args:
        bundle: a bundle's name or folder
    """
    from models.bundle import Bundle
    from models.parts import chosen_samples
    from models.samples import unlabelled_samples
    from models.training.terminal import shown_progress, training_imports

    with training_imports():
        from models.training.bottleneck.network import Shape
        from models.training.bottleneck.train import Recipe, train_bottleneck
        from models.training.bottleneck.write import judge, write_bottleneck

    wanted, found = settings, Bundle.load(bundle)
    train = chosen_samples(found, wanted.data, "train", wanted.limit, wanted.seed)
    unseen = chosen_samples(found, wanted.data, "test")
    if wanted.unlabelled is not None:
        train += unlabelled_samples(wanted.unlabelled, {sample.digest for sample in (*train, *unseen)})
    shape = Shape(halvings=wanted.halvings, channels=wanted.channels, width=wanted.width)
    recipe = Recipe(wanted.at, wanted.wire_bytes, shape, wanted.epochs, wanted.copies, seed=wanted.seed)
    with shown_progress() as progress:
        content = train_bottleneck(found, train, recipe, progress)
        judged = judge(found, content, unseen)
    print(write_bottleneck(wanted.output, found, content, wanted.at, wanted.text(len(train)), judged))
    for task, right in judged.right.items():
        was, known, same = judged.right_before[task], judged.known[task], judged.agreed[task]
        print(f"{task}: right {right} of {known}, before {was}; same answer {same} of {judged.pictures}")
    print(f"{judged.code_bytes:,.0f} B per picture at the cut point bottleneck with native+zstd")
