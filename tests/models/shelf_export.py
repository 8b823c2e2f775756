"""Write small versions of the shelf's networks as .tflite files and bundles, and print what only Keras can tell.

Run as a program, so that the tests' own process stays free of TensorFlow:
    python tests/models/shelf_export.py FOLDER
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np

from models.layers import CHAINS
from models.pictures import HIGH, LOW, encode_png
from models.training import classifier, timing
from models.training.classifier import Order, train_classifier
from models.training.convert import to_float, to_int8
from models.training.epochs import FILE, Epochs
from models.training.measure import Confusion
from models.training.plan import MID_GREY, blanked, mirrored_and_shifted, shifted, with_blank
from models.training.plans import plan_of
from models.training.shelf_bundle import Outcome, write_outcome
from models.zoo import vgg16
from models.zoo.chain import Chain, Layer, build
from models.zoo.cifar import LABELS, Block, Identity, cifar

THIN = 32
TINY = (Block(8, True), *(Block(8, False) for _ in range(8)))


class Silent:
    """A progress that nobody sees."""

    def expect(self, steps: float) -> None: ...
    def say(self, text: str) -> None: ...
    def step(self, count: float) -> None: ...


def noise(*shape: int) -> np.ndarray:
    """Return float32 numbers between LOW and HIGH."""
    return np.random.default_rng(5).uniform(LOW, HIGH, shape).astype(np.float32)


def chains(folder: Path) -> None:
    """Write every chain with a fraction of its channels: its operators and their names are those of the whole."""
    for chain in CHAINS.values():
        small = chain if chain.name == "mnist" else chain.thin(THIN)
        model = build(small, "class", seed=3)
        content = to_float(model, noise(2, chain.side, chain.side, chain.channels), tolerance=0.05)
        (folder / f"{chain.name}.tflite").write_bytes(content)


class _Cut(Exception):
    """An interruption."""


def cut_off(order: Order) -> list[int]:
    """Interrupt a training after its last epoch; return when each unfinished one there was written, in ns."""

    def interrupted(*given: object) -> bytes:
        raise _Cut

    with mock.patch.object(classifier, "to_float", interrupted), contextlib.suppress(_Cut):
        train_classifier(plan_of("mnist", epochs=3), order, Silent())
    return sorted(path.stat().st_mtime_ns for path in order.output.glob(".unfinished-mnist-*.npz"))


def digits(folder: Path) -> dict[str, bool]:
    """Train the network for digits on a few bright squares, each label at a place of its own.

    Return whether the training outlived interruptions, and took no other's weights.
    """
    random = np.random.default_rng(1)
    labels = np.tile(np.arange(10), 30).astype(np.uint8)
    pictures = random.integers(0, 60, (300, 28, 28), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        top, left = 5 * (int(label) // 5) + 7, 5 * (int(label) % 5) + 1
        picture[top : top + 5, left : left + 5] = 255
    np.savez(
        folder / "digits.npz", x_train=pictures[:200], y_train=labels[:200], x_test=pictures[200:], y_test=labels[200:]
    )
    order = Order((folder / "digits.npz",), folder, "squares", "CC0")
    once, again = cut_off(order), cut_off(order)
    np.savez(
        folder / "fewer.npz", x_train=pictures[:90], y_train=labels[:90], x_test=pictures[200:], y_test=labels[200:]
    )
    others = cut_off(replace(order, data=(folder / "fewer.npz",)))
    train_classifier(plan_of("mnist", epochs=3), order, Silent())
    left = [path.stat().st_mtime_ns for path in folder.glob(".unfinished*.npz")]
    return {
        "kept until the end": len(once) == 1 and once == again,
        "other data, another training": len(others) == 2,
        "only its own removed": left == others[1:],
    }


def objects(folder: Path) -> None:
    """Write the CIFAR network with all exits, thin and untrained, as its training would, and pictures for it."""
    random = np.random.default_rng(4)
    for label in LABELS:
        place = folder / "objects" / "test" / label
        place.mkdir(parents=True)
        for index in range(6):
            (place / f"{index}.png").write_bytes(encode_png(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)))
    plan, pictures = plan_of("cifar-mem"), noise(8, 32, 32, 3)
    model = cifar(range(1, 9), TINY)
    for weights in model.trainable_variables:
        weights.assign_add(random.normal(0, 0.02, weights.shape))
    files = {"fp32": to_float(model, pictures), "int8": to_int8(model, pictures)}
    judged = dict.fromkeys(plan.outputs, Confusion(tuple(map(tuple, np.ones((10, 10), int).tolist()))))
    counts = {"train": 0, "test": 100}
    outcome = Outcome(plan, files, dict.fromkeys(files, judged), counts, "noise", "CC0", (1.0,), "")
    for written in write_outcome(folder, outcome):
        epochs = Epochs(written / FILE, 60, lambda: dict.fromkeys(plan.outputs, 0.1))
        epochs(0)
        epochs(1)


def timed(folder: Path) -> None:
    """Build a bundle for timing, with few channels."""
    timing.CHAINS = {"alexnet": CHAINS["alexnet"].thin(THIN)}
    timing.build_timing(timing.Order("alexnet", folder, seed=1), Silent())


def colours() -> float:
    """Return by how much VGG16's first layer on RGB in [LOW, HIGH] differs from Caffe's on BGR less the mean."""
    layers = tuple(layer for layer in vgg16.VGG16.layers if layer.kind == "conv")
    small = Chain("vgg16", 8, 3, tuple(Layer("conv", 4, 3, padding=1) for _ in layers))
    random = np.random.default_rng(2)
    arrays = {}
    for place, name in enumerate(vgg16.convolution_names()):
        arrays[f"{name}/kernel"] = random.normal(0, 0.05, (3, 3, 4 if place else 3, 4)).astype(np.float16)
        arrays[f"{name}/bias"] = random.normal(0, 0.05, 4).astype(np.float16)
    model = build(small, "class")
    vgg16.load_imagenet(model, arrays)
    pixels = random.integers(0, 256, (8, 8, 3)).astype(np.float64)
    first = model.layers[1]
    got = np.asarray(first(((pixels - 128) / 128).astype(np.float32)[None]))[0, 1:-1, 1:-1]
    caffe = pixels[:, :, ::-1] - [103.939, 116.779, 123.68]
    kernel = arrays["block1_conv1/kernel"].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(caffe, (3, 3), axis=(0, 1))
    expected = np.einsum("yxihw,hwio->yxo", windows, kernel) + arrays["block1_conv1/bias"]
    return float(np.abs(got - expected).max())


def changes() -> dict[str, bool]:
    """Return whether changed copies are what they should be."""
    ramp = np.arange(32 * 32 * 3, dtype=np.uint16).reshape(1, 32, 32, 3).repeat(64, 0).astype(np.uint8)
    first, again = (mirrored_and_shifted(ramp, np.random.default_rng(1)) for _ in range(2))
    digits = shifted(ramp[:, :28, :28], np.random.default_rng(1))
    white = np.full((200, 28, 28, 3), 255, np.uint8)
    grey = (blanked(white, 8, np.random.default_rng(1)) == MID_GREY).all(axis=-1)
    plan = with_blank(plan_of("mnist"), 8)
    return {
        "blanked": bool((np.ptp(white) == 0) and grey.any(axis=(1, 2)).all() and grey.sum(axis=(1, 2)).max() == 64),
        "anywhere": bool(grey.any(axis=0).all() and grey.sum(axis=(1, 2)).min() < 64),
        "blanked in a plan": plan.change is not None
        and bool((plan.change(white, np.random.default_rng(1)) == MID_GREY).any())
        and plan.changes == "shifted by up to 2 pixels, a square of 8 pixels blanked",
        "repeatable": bool(np.array_equal(first, again)),
        "different": len({copy.tobytes() for copy in first}) > 32,
        "same size": first.shape == ramp.shape and digits.shape == (64, 28, 28, 3),
    }


def starts() -> dict[str, bool]:
    """Return whether the CIFAR network starts as it should: whitening, then convolutions that change nothing."""
    stem = cifar((), TINY).get_layer("stem")
    (kernel,) = stem.get_weights()
    filters = kernel.reshape(12, 24)
    like = filters.T @ filters
    pictures = noise(2, 8, 8, 4)
    wider = keras.layers.Conv2D(6, 3, padding="same", kernel_initializer=Identity())(pictures)
    return {
        "frozen": not stem.trainable_weights,
        "both signs": bool(np.array_equal(kernel[..., :12], -kernel[..., 12:])),
        "each alone": bool(np.abs(like[:12, :12] - np.diag(np.diag(like)[:12])).max() < 1e-4),
        "unchanged": bool(np.allclose(wider[..., :4], pictures, atol=1e-6)),
        "the rest drawn": bool(np.std(wider[..., 4:]) > 0),
    }


def main() -> None:
    """Write everything into the folder that was named."""
    folder = Path(sys.argv[1])
    chains(folder)
    unfinished = digits(folder)
    objects(folder)
    timed(folder)
    print(
        "told:" + json.dumps({"colours": colours(), "changes": changes(), "starts": starts(), "unfinished": unfinished})
    )


if __name__ == "__main__":
    main()
