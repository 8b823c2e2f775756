"""Train the thesis's faces network: its convolutions stay as ImageNet left them, up to the split.

What lies before the split is therefore computed once for every changed copy and kept on disk. From that the last
block, the dense layer and exit 2 learn; an exit's loss reaches nothing but its branch, which is the separate training
of the document (papers/000, section 3.3.2). Exit 1 learns from pictures, with the layers before it frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import keras
import numpy as np

from models.pictures import DataError, centred
from models.samples import Sample
from models.tasks import Task
from models.training.batches import Batches, Labelled, balanced
from models.training.face_order import FaceNet, FaceOrder, Trained
from models.training.faces import FaceChanges, as_labelled
from models.training.fit import Aim, Schedule, fit
from models.training.progress import Progress
from models.training.weights import read_arrays
from models.zoo import vgg16
from models.zoo.faces import TASKS
from models.zoo.faces_vgg16 import EXITS, OFFERED, SIZE, SPLIT, faces_vgg16, load_imagenet

COPIES: Final = 2
"""Changed copies of each face of which the split's features are kept."""
EXIT1_SHARE: Final = 0.5
"""Of the epochs, in which exit 1 learns from the pictures."""
WEIGHTS: Final[Mapping[str, float]] = {"age": 0.05, "exit1/age": 0.05, "exit2/age": 0.05}
"""Of the outputs in the loss; ages count in years."""
RARITY: Final = 0.5
"""To which power the rarity of a class raises the weight of its pictures."""
_MOST: Final = float(np.finfo(np.float16).max)
_ADVICE: Final = "give --weights an .npz of Keras's VGG16 without its top, arrays such as block1_conv1/kernel"


def _train(
    order: FaceOrder, pictures: Sequence[np.ndarray], samples: Sequence[Sample], kept: Path, progress: Progress
) -> Trained:
    """Return the trained network and its losses behind the split; what was begun in the folder is gone on with.

    Raises: DataError without weights of VGG16.
    """
    if order.weights is None:
        raise DataError(f"no weights were given, expected ImageNet's convolutions of VGG16; {_ADVICE}")
    arrays = read_arrays(order.weights, vgg16.expected_arrays(), "Keras's VGG16 without its top", _ADVICE)
    keras.utils.set_random_seed(order.schedule.seed)
    model = faces_vgg16(order.size)
    load_imagenet(model, arrays)
    data = as_labelled(pictures, samples)
    kept.mkdir(parents=True, exist_ok=True)
    progress.say("computing what lies before the split")
    features = _before_split(model, data, order, kept / "features.npy", progress)
    progress.say("training what lies behind the split")
    losses = _learn_behind(model, features, order, kept / "behind.npz", progress)
    progress.say("training exit 1")
    _learn_exit1(model, data, order, kept / "exit1.npz", progress)
    return model, losses


def _before_split(model: keras.Model, data: Labelled, order: FaceOrder, path: Path, progress: Progress) -> Labelled:
    """Return the split's features of every changed copy, float16 on disk, with what is known of their faces."""
    head = keras.Model(model.input, model.get_layer(SPLIT).output)
    count, size = len(data.pictures), order.schedule.batch
    targets = {name: np.tile(values, COPIES) for name, values in data.targets.items()}
    if path.is_file():
        progress.step(COPIES * count)
        return Labelled(np.load(path, mmap_mode="r"), targets)
    partial, change = path.with_suffix(".partial.npy"), FaceChanges()
    shape = (COPIES * count, *head.output.shape[1:])
    found = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    for copy in range(COPIES):
        for start in range(0, count, size):
            rng = np.random.default_rng((order.schedule.seed, copy, start))
            changed = change(data.pictures[start : start + size], rng)
            values = np.asarray(head.predict_on_batch(centred(changed)))
            found[copy * count + start : copy * count + start + len(values)] = np.minimum(values, _MOST)
            progress.step(len(values))
    found.flush()
    partial.replace(path)
    return Labelled(np.load(path, mmap_mode="r"), targets)


def _learn_behind(
    model: keras.Model, features: Labelled, order: FaceOrder, kept: Path, progress: Progress
) -> tuple[float, ...]:
    """Train the last block, the dense layer, the answers and exit 2; exit 2's branch alone is reached by its loss."""
    outputs = {name: output for name, output in model.output.items() if not name.startswith("exit1/")}
    behind = keras.Model(model.get_layer(SPLIT).output, outputs)
    batches = Batches(
        features,
        order.schedule.batch,
        seed=order.schedule.seed,
        prepare=lambda values: values.astype(np.float32),
        class_weights=_class_weights(features),
    )
    aim = Aim("joint", WEIGHTS)
    return tuple(fit(behind, TASKS, batches, order.schedule, aim, resume=kept, progress=progress)["loss"])


def _learn_exit1(model: keras.Model, data: Labelled, order: FaceOrder, kept: Path, progress: Progress) -> None:
    """Train the first branch on changed copies, the layers before it frozen."""
    frozen = keras.Model(model.input, model.get_layer(EXITS["exit1"]).output)
    frozen.trainable = False
    branch = keras.Model(model.input, {name: y for name, y in model.output.items() if name.startswith("exit1/")})
    schedule = replace(order.schedule, epochs=_exit1_epochs(order))
    batches = Batches(
        data, schedule.batch, seed=schedule.seed, change=FaceChanges(), class_weights=_class_weights(data)
    )  # fmt: skip
    try:
        fit(branch, TASKS, batches, schedule, Aim("joint", WEIGHTS), resume=kept, progress=progress)
    finally:
        model.trainable = True


def _class_weights(data: Labelled) -> dict[str, np.ndarray]:
    """Return the weights of both classifications' classes. Source: papers/000, section 3.1.4 (it states none)."""
    return {task.name: _weights_of(task, data) for task in TASKS if task.kind == "classification"}


def _weights_of(task: Task, data: Labelled) -> np.ndarray:
    return balanced(data.targets[task.name], len(task.labels), RARITY)


def _exit1_epochs(order: FaceOrder) -> int:
    return max(1, round(order.schedule.epochs * EXIT1_SHARE))


def _told(order: FaceOrder) -> str:
    schedule = order.schedule
    return (
        "The network of papers/000. ImageNet's convolutions of VGG16; those up to the split (block4_pool) stay as they "
        f"are. The last block, the dense layer and exit 2 learnt for {schedule.epochs} epochs from the split's "
        f"features of {COPIES} changed copies of each face, exit 1 for {_exit1_epochs(order)} epochs from changed "
        f"copies (AdamW, {schedule.rate:g} after a warm-up, falling along a cosine, batch {schedule.batch}, decay "
        f"{schedule.weight_decay:g}, running mean of the weights {schedule.average:g}, seed {schedule.seed}); no exit "
        "changes the network before it. Copies: shifted and scaled by up to 8%, mirrored, light, contrast, colour, "
        f"{FaceChanges().coarse:.0%} with less detail. Rare classes weigh more."
    )


THESIS: Final = FaceNet(
    name="faces-vgg16",
    size=SIZE,
    schedule=Schedule(6, 64, 3e-4, weight_decay=0.01, warm_up=0.05, average=0.998),
    network="VGG16's convolutions, one dense layer of 128, two exits",
    start="ImageNet's convolutions of Keras's VGG16 (from Caffe)",
    exits=EXITS,
    offered=lambda content: OFFERED,
    passes=lambda order: COPIES * (1 + order.schedule.epochs) + _exit1_epochs(order),
    train=_train,
    settle=lambda model, shown: None,
    told=_told,
    licence="the University of Oxford's VGG16 by way of Keras (the licence of the copy given is for the user to check)",
)
