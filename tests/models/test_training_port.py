"""ImageNet weights in our MobileNetV2: pictures that everybody knows, and the arithmetic of the port."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from skimage import data as photographs

from models.pictures import fit

if not os.environ.get("CI"):
    pytest.importorskip("tensorflow", reason="training needs TensorFlow")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "weights" / "mobilenet_v2_imagenet_torchvision.npz"


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    from models.training.weights import DataError, find_weights, read_weights
    from models.zoo.mobilenet_v2 import expected_arrays

    try:
        path = find_weights(SHARED if SHARED.exists() else None)
    except DataError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    return read_weights(path, expected_arrays())


# ImageNet's class numbers: 285 Egyptian cat, 967 espresso.
@pytest.mark.parametrize(("name", "number"), [("chelsea", 285), ("coffee", 967)])
@pytest.mark.parametrize("size", [160, 224])
def test_known_pictures_get_their_class(weights: dict[str, np.ndarray], name: str, number: int, size: int) -> None:
    """A cat is a cat and an espresso an espresso, at both sizes, with more than half of the probability."""
    from models.pictures import centred
    from models.zoo.mobilenet_v2 import imagenet_scores, load_imagenet, mobilenet_v2

    network = mobilenet_v2(size)
    load_imagenet(network, weights)
    features = network.predict_on_batch(centred([fit(getattr(photographs, name)(), size, size)]))
    scores = imagenet_scores(features, weights)[0]
    powers = np.exp(scores - scores.max())
    assert int(scores.argmax()) == number
    assert powers.max() / powers.sum() > 0.5


def test_equalised_channels_leave_the_answer_alone(weights: dict[str, np.ndarray]) -> None:
    """Rescaling channels between the bottlenecks evens their ranges and changes no feature."""
    import keras

    from models.pictures import centred
    from models.training.equalise import equalise
    from models.zoo.mobilenet_v2 import load_imagenet, mobilenet_v2

    network = mobilenet_v2(96)
    load_imagenet(network, weights)
    middle = keras.Model(network.input, network.get_layer("block_15_add").output)
    pictures = centred([fit(photographs.chelsea(), 96, 96), fit(photographs.coffee(), 96, 96)])
    before, spread_before = network.predict_on_batch(pictures), spread(middle.predict_on_batch(pictures))
    equalise(network, pictures)
    after, spread_after = network.predict_on_batch(pictures), spread(middle.predict_on_batch(pictures))
    assert np.abs(after - before).max() < 1e-3 * before.max()
    assert spread_after < 0.5 * spread_before


def spread(values: np.ndarray) -> float:
    """How far the channels' largest values lie apart, as the deviation of their logarithms."""
    return float(np.log(np.abs(values).max(axis=(0, 1, 2)) + 1e-3).std())


def test_folding_the_scaling_changes_no_value() -> None:
    """The first convolution on (v - 128) / 128 gives what torchvision's gives on mean 0, deviation 1."""
    from models.pictures import HIGH, LOW
    from models.zoo.mobilenet_v2 import fold_scaling

    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(3, 3, 3, 5)), rng.normal(size=5)
    pixels = rng.integers(0, 256, (3, 3, 3)) / 255
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = np.einsum("hwi,hwio->o", (pixels - mean) / deviation, kernel) + bias
    folded, shifted = fold_scaling(kernel, bias)
    found = np.einsum("hwi,hwio->o", LOW + pixels * (HIGH - LOW), folded) + shifted
    assert np.allclose(found, expected, atol=1e-9)


def test_folding_the_norm_changes_no_value() -> None:
    """A convolution with folded batch normalisation gives what the two give one after the other."""
    from models.zoo.mobilenet_v2 import FIRST, fold_norm

    rng = np.random.default_rng(2)
    arrays = {
        "features.0.0.weight": rng.normal(size=(4, 3, 3, 3)),
        "features.0.1.weight": rng.normal(size=4),
        "features.0.1.bias": rng.normal(size=4),
        "features.0.1.running_mean": rng.normal(size=4),
        "features.0.1.running_var": rng.uniform(0.1, 2, 4),
    }
    patch = rng.normal(size=(3, 3, 3))
    plain = np.einsum("ihw,oihw->o", patch, arrays["features.0.0.weight"])
    deviation = np.sqrt(arrays["features.0.1.running_var"] + 1e-5)
    normed = (plain - arrays["features.0.1.running_mean"]) / deviation
    expected = normed * arrays["features.0.1.weight"] + arrays["features.0.1.bias"]
    kernel, bias = fold_norm(arrays, FIRST)
    found = np.einsum("hwi,hwio->o", patch.transpose(1, 2, 0), kernel) + bias
    assert np.allclose(found, expected, atol=1e-9)
