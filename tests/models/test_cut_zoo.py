"""Head then tail equals the whole, bit for bit, at every cut point of networks that people use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.engine import Engine
from models.graph import CutPoint, Graph
from models.profile import noise
from models.runtime import new_interpreter
from tests.models import zoo

FILES = [(name, kind) for name in zoo.SIZES for kind in zoo.kinds_of(name)]
FEWEST_CUTS = {
    "MobileNetV2": 34, "VGG16": 19, "ResNet50": 22, "EfficientNetB0": 54, "DenseNet121": 75, "InceptionV3": 20,
}  # fmt: skip
ACTIVATION_TYPES = {"float32": "float32", "float16": "float32", "dynamic": "float32", "int8": "int8"}

pytestmark = pytest.mark.timeout(1200)


def whole_of_the_file(path: Path, picture: np.ndarray) -> list[np.ndarray]:
    """Return what LiteRT gives for the file as it lies on the disk."""
    plain = new_interpreter(path.read_bytes(), 1, True)
    plain.allocate_tensors()
    plain.set_tensor(plain.get_input_details()[0]["index"], picture)
    plain.invoke()
    return [plain.get_tensor(detail["index"]) for detail in plain.get_output_details()]


def picture_for(engine: Engine, seed: int = 0) -> np.ndarray:
    """Return noise in [-1, 1) or over the whole range of an integer."""
    picture = noise(engine.whole().inputs[0], seed)
    return picture * 2 - 1 if picture.dtype == np.float32 else picture


def black(picture: np.ndarray) -> np.ndarray:
    """Return the darkest picture of that shape and type."""
    return np.full_like(picture, -1 if picture.dtype == np.float32 else np.iinfo(picture.dtype).min)


def differing_cuts(engine: Engine, picture: np.ndarray, expected: list[np.ndarray]) -> list[str]:
    """Return the names of the cut points where head then tail gives other bits than expected."""

    def differs(point: CutPoint) -> bool:
        got = engine.tail(point.name).run(*engine.head(point.name).run(picture))
        return [array.tobytes() for array in got] != [array.tobytes() for array in expected]

    return [point.name for point in engine.graph.cut_points() if differs(point)]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_head_then_tail_is_the_whole_at_every_cut(name: str, kind: str) -> None:
    """Six architectures, and four kinds of files of two of them, give the file's own bits at every cut point."""
    path = zoo.zoo_model(name, kind)
    engine = Engine(path, max_cached_parts=1)
    points = engine.graph.cut_points()
    assert len(points) >= FEWEST_CUTS[name]
    assert {point.dtype for point in points} == {ACTIVATION_TYPES[kind]}
    picture = picture_for(engine)
    expected = whole_of_the_file(path, picture)
    middle = engine.head(points[len(points) // 2].name)
    assert middle.run(picture)[0].tobytes() != middle.run(black(picture))[0].tobytes(), "its weights say nothing"
    assert differing_cuts(engine, picture, expected) == []


@pytest.mark.parametrize("kind", zoo.KINDS)
@pytest.mark.parametrize("xnnpack", [True, False])
def test_batches_and_threads_give_the_same_bits(kind: str, xnnpack: bool) -> None:
    """With two threads, without XNNPACK and in batches each row of MobileNetV2 is what it is alone."""
    path = zoo.zoo_model("MobileNetV2", kind)
    engine = Engine(path, threads=2, xnnpack=xnnpack)
    pictures = np.concatenate([picture_for(engine, seed) for seed in range(3)])
    alone = [engine.whole().run(pictures[row : row + 1])[0] for row in range(3)]
    for split in ("block_5_add", "out_relu"):
        for _ in range(2):
            activation = engine.head(split).run(pictures)
            assert engine.tail(split).run(*activation)[0].tobytes() == np.concatenate(alone).tobytes()


@pytest.mark.parametrize("kind", zoo.KINDS)
def test_the_parts_of_a_network_chain(kind: str) -> None:
    """From cut point to cut point MobileNetV2's parts give the activations that its heads give."""
    engine = Engine(zoo.zoo_model("MobileNetV2", kind), max_cached_parts=2)
    picture = picture_for(engine)
    before, activation = None, (picture,)
    for point in engine.graph.cut_points():
        activation = engine.part(before, [point.name]).run(*activation)
        assert activation[0].tobytes() == engine.head(point.name).run(picture)[0].tobytes(), point.name
        before = [point.name]


def test_keras_layers_give_the_cuts_their_names() -> None:
    """The cut points of MobileNetV2 are called as its layers are."""
    names = [point.name for point in Graph.read(zoo.zoo_model("MobileNetV2", "int8")).cut_points()]
    assert names[:4] == [
        "Conv1_relu",
        "expanded_conv_depthwise_relu",
        "expanded_conv_project_BN",
        "block_1_expand_relu",
    ]
    assert {"block_5_add", "block_15_add", "out_relu", "global_average_pooling2d"} < set(names)


def test_multiply_adds_of_known_networks() -> None:
    """VGG16's convolutions need 15.3 billion multiply-adds at 224 x 224 and so 1/12.25 of that at 64 x 64."""
    points = Graph.read(zoo.zoo_model("VGG16", "float32")).cut_points()
    whole = points[0].madds_head + points[0].madds_tail
    assert whole == pytest.approx(15.347e9 / 12.25, rel=0.01)


def test_a_detector_that_nobody_prepared_is_cut() -> None:
    """mediapipe's face detector, float16 weights and two outputs, gives its own bits at each of its cut points."""
    path = zoo.detector()
    engine = Engine(path, max_cached_parts=1)
    assert [spec.shape for spec in engine.whole().outputs] == [(1, 896, 16), (1, 896, 1)]
    assert len(engine.graph.cut_points()) == 24
    picture = picture_for(engine)
    assert differing_cuts(engine, picture, whole_of_the_file(path, picture)) == []
