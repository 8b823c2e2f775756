"""The light network for faces: MobileNetV2 from ImageNet's weights, network and exits trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import keras
import numpy as np

from models.samples import Sample
from models.training.batches import Batches, balanced
from models.training.equalise import equalise
from models.training.face_order import FaceNet, FaceOrder, Trained
from models.training.faces import FaceChanges, as_labelled
from models.training.fit import Aim, Schedule, fit
from models.training.progress import Progress
from models.training.weights import find_weights, read_weights
from models.training.write import offered_cut_points
from models.zoo.faces import BRANCHES, EXITS, TASKS, faces
from models.zoo.mobilenet_v2 import expected_arrays, load_imagenet

WEIGHTS: Final[Mapping[str, float]] = {
    "gender": 1.5, "age": 0.05, "exit1/age": 0.02, "exit2/age": 0.025,
    "exit1/gender": 0.4, "exit1/age-group": 0.4, "exit2/gender": 0.5, "exit2/age-group": 0.5,
}  # fmt: skip
"""Of the outputs in the loss; ages count in years."""
SMOOTHING: Final = 0.05
RARITY: Final = 0.3
"""To which power the rarity of an age group raises the weight of its pictures."""
CHANGES: Final = FaceChanges(blank=0.2)


def _train(
    order: FaceOrder, pictures: Sequence[np.ndarray], samples: Sequence[Sample], kept: Path, progress: Progress
) -> Trained:
    data, schedule = as_labelled(pictures, samples), order.schedule
    model = faces(order.size)
    load_imagenet(model, read_weights(find_weights(order.weights), expected_arrays()))
    groups = next(task for task in TASKS if task.name == "age-group")
    rare = balanced(data.targets["age-group"], len(groups.labels), RARITY)
    batches = Batches(data, schedule.batch, seed=schedule.seed, change=CHANGES, class_weights={"age-group": rare})
    aim = Aim("joint", WEIGHTS, SMOOTHING)
    history = fit(model, TASKS, batches, schedule, aim, resume=kept / "epochs.npz", progress=progress)
    return model, tuple(history["loss"])


def _settle(model: keras.Model, shown: np.ndarray) -> None:
    equalise(model, shown, BRANCHES)


def _told(order: FaceOrder) -> str:
    schedule = order.schedule
    return (
        "ImageNet weights of torchvision's MobileNetV2 with the batch normalisation folded in; network and exits "
        f"together for {schedule.epochs} epochs (AdamW, {schedule.rate:g} after a warm-up, falling along a cosine, "
        f"batch {schedule.batch}, decay {schedule.weight_decay:g}, running mean of the weights {schedule.average:g}, "
        f"seed {schedule.seed}). Copies: shifted and scaled by up to 8%, mirrored, light, contrast, colour, "
        f"{CHANGES.coarse:.0%} with less detail, a square of {CHANGES.blank:.0%} of the side blanked. Rare age groups "
        "weigh more. Channels are evened out before the file is made."
    )


LIGHT: Final = FaceNet(
    name="faces",
    size=128,
    schedule=Schedule(24, 32, 4e-4, weight_decay=0.01, warm_up=0.05, average=0.998),
    network="MobileNetV2, width 1.0, two exits",
    start="ImageNet weights of torchvision (BSD-3-Clause)",
    exits=EXITS,
    offered=lambda content: offered_cut_points(content, [task.output for task in TASKS]),
    passes=lambda order: order.schedule.epochs,
    train=_train,
    settle=_settle,
    told=_told,
    licence="torchvision, BSD-3-Clause",
)
