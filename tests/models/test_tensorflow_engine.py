"""TensorFlow runs the parts of the same file: LiteRT's answers within stated bounds, one by one and many at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.bundle import Bundle
from models.engine import Engine
from models.errors import BadInput, CutError, NotInTensorFlow, RunError
from models.graph import Graph
from models.profile import noise
from models.tensorflow_engine.computation import Computation
from models.tensorflow_engine.engine import TensorFlowEngine, filled_rows, prepare
from tests.models import tflite_files as files
from tests.models import zoo

SMALL = ("residual", "early_exit", "two_inputs", "half_weights", "quantised")
SHIPPED = ("litter", "faces", "mnist", "mnist-fp32")
NETWORKS = [(name, kind) for name in zoo.SIZES for kind in zoo.kinds_of(name)]
FLOAT_SHARE = 1e-5
"""The most that a real number may differ, of the largest of its tensor: both compute in float32, in another order."""
ROUNDED_SHARE = 0.03
"""… where LiteRT rounds the activations to 8 bits on its way (dynamic range) and TensorFlow does not."""
MOST_STEPS = 12
"""Of 256, in the answers of a full-integer network: each operator is within one step of LiteRT's, what was rounded the
other way goes through all that follow, and a softmax makes several steps of one."""

pytestmark = pytest.mark.timeout(1200)


def rows(engine: Engine, count: int, split: str | None = None) -> list[np.ndarray]:
    """Return made-up inputs for so many pictures, or their activations at a split, LiteRT's."""
    parts = [np.concatenate([noise(spec, seed) for seed in range(count)]) for spec in engine.whole().inputs]
    return parts if split is None else list(engine.head(split).run(*parts))


def assert_near(
    got: Sequence[np.ndarray], expected: Sequence[np.ndarray], share: float = FLOAT_SHARE, steps: int = 1
) -> None:
    """Real numbers differ by no more than a share of the largest, whole ones by no more than so many steps."""
    assert [(one.shape, one.dtype) for one in got] == [(one.shape, one.dtype) for one in expected]
    for one, other in zip(got, expected, strict=True):
        most = steps if other.dtype.kind in "iu" else share * np.abs(other).max()
        assert np.abs(one.astype(np.float64) - other.astype(np.float64)).max() <= most


@pytest.mark.parametrize("kind", SMALL)
def test_small_files_give_the_same_answers_at_every_cut_point(kind: str) -> None:
    """Two inputs, two outputs, float16 weights behind DEQUANTIZE, sums of constants, full integers."""
    content = files.RUNNABLE[kind]()
    litert, tensorflow = Engine(content), TensorFlowEngine(content)
    inputs = rows(litert, 2)
    assert_near(tensorflow.whole().run(*inputs), litert.whole().run(*inputs))
    for point in litert.graph.cut_points():
        activation = rows(litert, 2, point.name)
        assert_near(tensorflow.tail(point.name).run(*activation), litert.tail(point.name).run(*activation))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_bundles_that_ship_give_the_same_answers_at_every_cut_point(name: str) -> None:
    """Each tail, from LiteRT's activation; int8 ones within some steps of 256, the same label but for a near tie."""
    bundle = Bundle.load(name)
    litert = Engine(bundle.model_path, outputs=bundle.finals)
    tensorflow = TensorFlowEngine(bundle.model_path, outputs=bundle.finals)
    same: list[bool] = []
    for split in ["image", *(point.name for point in litert.graph.cut_points())]:
        values = rows(litert, 3, None if split == "image" else split)
        got, expected = tensorflow.tail(split).run(*values), litert.tail(split).run(*values)
        assert_near(got, expected, steps=MOST_STEPS)
        for one, other in zip(got, expected, strict=True):
            same += list(one.argmax(axis=-1) == other.argmax(axis=-1))
    assert np.mean(same) >= 0.99


def test_an_int8_network_is_within_a_step_from_cut_to_cut() -> None:
    """Between neighbouring cut points, from LiteRT's own activation, hardly a number is rounded the other way."""
    bundle = Bundle.load("litter")
    litert = Engine(bundle.model_path, outputs=bundle.finals)
    tensorflow = TensorFlowEngine(bundle.model_path, outputs=bundle.finals)
    (values,) = rows(litert, 1)
    before, differing, numbers = None, 0, 0
    for point in litert.graph.cut_points():
        (expected,) = litert.part(before, [point.name]).run(values)
        (got,) = tensorflow.part(before, [point.name]).run(values)
        operators = len(litert.graph.path(before, [point.name]))
        assert_near([got], [expected], steps=1 if operators == 1 else 2)
        differing, numbers = differing + np.count_nonzero(got != expected), numbers + got.size
        before, values = [point.name], expected
    assert differing < numbers / 1000


@pytest.mark.parametrize(("name", "kind"), NETWORKS)
def test_networks_that_people_use_give_the_same_activations(name: str, kind: str) -> None:
    """Six architectures, and four kinds of files of two of them, at every cut point and at the end."""
    path = zoo.zoo_model(name, kind)
    litert, tensorflow = Engine(path, max_cached_parts=1), TensorFlowEngine(path)
    picture = noise(litert.whole().inputs[0])
    points = [point.index for point in litert.graph.cut_points()]
    wanted = [*points, *(tensor.index for tensor in litert.graph.outputs)]
    expected = [litert.part(None, [index]).run(picture)[0] for index in wanted]
    share = ROUNDED_SHARE if kind == "dynamic" else FLOAT_SHARE
    assert_near(tensorflow.part(None, wanted).run(picture), expected, share, steps=2)


@pytest.mark.parametrize("kind", zoo.KINDS)
def test_every_tail_of_a_network_gives_the_same_answer(kind: str) -> None:
    """MobileNetV2 as float32, float16, dynamic range and full integer, behind each of its cut points."""
    path = zoo.zoo_model("MobileNetV2", kind)
    litert, tensorflow = Engine(path, max_cached_parts=2), TensorFlowEngine(path)
    share = ROUNDED_SHARE if kind == "dynamic" else FLOAT_SHARE
    for point in litert.graph.cut_points():
        activation = rows(litert, 1, point.name)
        expected = litert.tail(point.name).run(*activation)
        assert_near(tensorflow.tail(point.name).run(*activation), expected, share)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "mnist"])
def test_networks_of_the_shelf_give_the_same_answers(shelf: tuple[Path, dict[str, Any]], name: str) -> None:
    """Chains with pools, paddings and dense layers, behind each of their cut points."""
    path = shelf[0] / f"{name}.tflite"
    litert, tensorflow = Engine(path), TensorFlowEngine(path)
    for point in litert.graph.cut_points():
        activation = rows(litert, 2, point.name)
        assert_near(tensorflow.tail(point.name).run(*activation), litert.tail(point.name).run(*activation))


@pytest.mark.parametrize("name", ["cifar-mem", "cifar-mem-fp32"])
def test_a_network_with_eight_exits_gives_the_same_answers(shelf: tuple[Path, dict[str, Any]], name: str) -> None:
    """All nine outputs of the CIFAR network, full integer and float32."""
    (path,) = (path for path in shelf[0].rglob("model.tflite") if path.parent.name == name)
    litert, tensorflow = Engine(path), TensorFlowEngine(path)
    pictures = rows(litert, 3)
    expected = litert.whole().run(*pictures)
    assert len(expected) == 9
    assert_near(tensorflow.whole().run(*pictures), expected, steps=MOST_STEPS)


@pytest.mark.parametrize("name", ["mnist-fp32", "litter"])
def test_many_at_once_give_what_each_gives_alone(name: str) -> None:
    """A batch of n is n single runs, whatever n, and the computation is traced once for all."""
    bundle = Bundle.load(name)
    litert = Engine(bundle.model_path, outputs=bundle.finals)
    part = TensorFlowEngine(bundle.model_path, outputs=bundle.finals).tail(bundle.cut_points[1])
    (activations,) = rows(litert, 9, bundle.cut_points[1])
    alone = [np.concatenate([part.run(activations[row : row + 1])[0] for row in range(9)])]
    for count in (1, 2, 3, 5, 8, 9):
        assert_near(part.run(activations[:count]), [alone[0][:count]])
    assert part._function.experimental_get_tracing_count() == 1


def test_few_numbers_of_rows_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU sees is filled up to a power of two; what comes back is not."""
    assert [filled_rows(rows) for rows in (1, 2, 3, 4, 5, 8, 9, 31, 32)] == [1, 2, 4, 4, 8, 8, 16, 32, 32]
    part, seen = TensorFlowEngine(files.residual()).whole(), []
    function = part._function
    monkeypatch.setattr(part, "_function", lambda array: seen.append(len(array)) or function(array))
    assert [len(part.run(np.zeros((count, 8, 8, 3), np.float32))[0]) for count in (1, 3, 5, 6)] == [1, 3, 5, 6]
    assert seen == [1, 4, 8, 8]


def test_parts_are_kept_and_say_what_they_take() -> None:
    """As LiteRT's engine: the same part again, the file's own names, shapes and scales; no tail behind the device."""
    content = files.quantised()
    litert, tensorflow = Engine(content), TensorFlowEngine(content, rows_at_once=16)
    split = litert.graph.cut_points()[0].name
    part = tensorflow.tail(split)
    assert tensorflow.tail(split) is part
    assert (part.inputs, part.outputs) == (litert.tail(split).inputs, litert.tail(split).outputs)
    assert (part.rows_at_once, litert.tail(split).rows_at_once) == (16, 1)
    assert tensorflow.tail("image") is tensorflow.whole()
    with pytest.raises(CutError, match="no tail"):
        tensorflow.tail("device")


@pytest.mark.parametrize(
    "arrays",
    [
        [],
        [np.zeros((1, 8, 8, 3), np.float64)],
        [np.zeros((0, 8, 8, 3), np.float32)],
        [np.zeros((1, 8, 9, 3), np.float32)],
        [np.zeros((8, 8, 3), np.float32)],
        [np.zeros((), np.float32)],
    ],
)
def test_an_array_that_does_not_fit_is_refused(arrays: list[np.ndarray]) -> None:
    """The message says what came and what is expected."""
    with pytest.raises(BadInput, match="expected"):
        TensorFlowEngine(files.residual()).whole().run(*arrays)


def test_rows_of_two_inputs_must_agree() -> None:
    """Two pictures left and one right are no batch."""
    left, right = np.zeros((2, 8, 8, 3), np.float32), np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(BadInput, match="right"):
        TensorFlowEngine(files.two_inputs()).whole().run(left, right)


def test_what_tensorflow_refuses_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU without room for the batch: who asked learns what to do."""

    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\ntensor")

    part = TensorFlowEngine(files.residual()).whole()
    monkeypatch.setattr(part, "_function", full)
    with pytest.raises(RunError, match=r"TensorFlow cannot run the part picture to scores .* OOM.*; lower --batch"):
        part.run(np.zeros((1, 8, 8, 3), np.float32))


class Lost:
    """An output that a GPU never brought back."""

    def numpy(self) -> np.ndarray:
        raise tf.errors.InternalError(None, None, "the GPU was lost")


def test_what_fails_when_answers_are_fetched_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU computes on while the call has returned: its error comes with the numbers."""
    part = TensorFlowEngine(files.residual()).whole()
    monkeypatch.setattr(part, "_function", lambda *_: [Lost()])
    with pytest.raises(RunError, match="the GPU was lost"):
        part.run(np.zeros((1, 8, 8, 3), np.float32))


def test_what_tensorflow_refuses_of_a_part_that_is_built_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are computed on the GPU as well."""

    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a constant")

    monkeypatch.setattr("models.tensorflow_engine.engine.Computation", full)
    with pytest.raises(RunError, match="OOM when allocating a constant"):
        TensorFlowEngine(files.residual()).whole()


def test_a_part_that_fails_with_many_rows_settles_at_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what was computed, down to one row; a row that fails alone changes nothing."""

    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    part = TensorFlowEngine(files.residual(), rows_at_once=20).whole()
    monkeypatch.setattr(part, "_function", full)
    found = []
    for rows in (1, 20, 40, 16, 5, 2, 1):
        with pytest.raises(RunError):
            part.run(np.zeros((rows, 8, 8, 3), np.float32))
        found.append(part.rows_at_once)
    assert found == [20, 16, 16, 8, 4, 1, 1]


def of_one(kind: str, shape: Sequence[int], target: Sequence[int], numbers: object, options: object = None) -> bytes:
    """Return a file with one operator whose second input holds integers."""
    maker = files.Maker()
    held = np.array(numbers, np.int32)
    source, out = maker.tensor("picture", shape), maker.tensor("out", target)
    maker.operator(kind, [source, maker.tensor("held", held.shape, "int32", data=held)], [out], options)
    maker.ends([source], [out])
    return maker.file()


def over_shapes() -> bytes:
    """Return a file that tiles what it reads as often as its own shape says."""
    maker = files.Maker()
    source, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 4))
    shape = maker.tensor("shape", (2,), "int32", open_batch=False)
    maker.operator("SHAPE", [source], [shape])
    maker.operator("SUM", [source, shape], [out])
    maker.ends([source], [out])
    return maker.file()


def computed_weights() -> bytes:
    """Return a file whose dense layer has the picture as its weights."""
    maker = files.Maker()
    source, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1, 1))
    maker.operator("FULLY_CONNECTED", [source, source], [out], files.schema.FullyConnectedOptionsT())
    maker.ends([source], [out])
    return maker.file()


def with_option(field: str, value: int) -> bytes:
    """Return a dense layer with one of its options set."""
    maker = files.Maker()
    source = maker.tensor("picture", (1, 4))
    out = files.dense(maker, "scores", source, 4, 3)
    setattr(maker.sub.operators[-1].builtinOptions, field, value)
    maker.ends([source], [out])
    return maker.file()


def arg_max() -> bytes:
    """Return a file that answers with the number of its label."""
    maker = files.Maker()
    source, out = maker.tensor("picture", (1, 4)), maker.tensor("out", (1,), "int32")
    axis = maker.tensor("axis", (), "int32", data=np.array(1, np.int32))
    maker.operator("ARG_MAX", [source, axis], [out], files.schema.ArgMaxOptionsT())
    maker.ends([source], [out])
    return maker.file()


REFUSED = {
    "operator 1 is SPLIT, which is not among": files.split,
    "operator 1 is CUSTOM:Sharpen, which is not among": files.custom,
    "its input picture may have any size": files.open_size,
    "operator 0 is TRANSPOSE, which mixes the pictures": lambda: of_one("TRANSPOSE", (1, 1, 4), (1, 1, 4), [1, 0, 2]),
    "operator 0 is SUM, which mixes the pictures": lambda: of_one("SUM", (1, 1, 4), (1, 4), [-3]),
    r"out is \(4, 1\), which does not begin": lambda: of_one("RESHAPE", (1, 4), (4, 1), [4, 1]),
    "operator 1 is SUM over what SHAPE computes": over_shapes,
    "operator 0 is FULLY_CONNECTED with computed weights": computed_weights,
    "operator 0 is SUM with computed axes": lambda: of_one("SUM", (1, 4), (1, 4), []),
    "operator 0 is FULLY_CONNECTED with activation 5": lambda: with_option("fusedActivationFunction", 5),
    "operator 0 is FULLY_CONNECTED with shuffled weights": lambda: with_option("weightsFormat", 1),
    "its output is what ARG_MAX computes": arg_max,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_had_is_said_with_the_way_out(reason: str) -> None:
    """One line that names the operator and LiteRT's engine."""
    with pytest.raises(NotInTensorFlow, match=f"cannot run in TensorFlow here: {reason}.*; use --engine litert"):
        TensorFlowEngine(REFUSED[reason]()).whole()


def test_weights_that_numpy_has_not_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse weights, those in blocks and those of 4 bits: not read as something else."""
    monkeypatch.setattr(Graph, "constant", lambda graph, index: None)
    with pytest.raises(NotInTensorFlow, match=r"weights #.* are sparse, in blocks or of few bits; use --engine litert"):
        TensorFlowEngine(files.residual()).whole()


def test_real_numbers_can_be_differentiated() -> None:
    """Without rounding, the tail of a full-integer file has gradients; the remedy is the caller's own."""
    graph = Graph.read(files.quantised())
    (point, *_), end = graph.cut_points(), graph.outputs[0].index
    tail = Computation(graph, [point.index], [end], rounds=False)
    values = tf.constant(noise(Engine(files.residual()).whole().inputs[0])[:, :4, :4, :1] * np.ones(4, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(values)
        (scores,) = tail(values)
        largest = tf.reduce_max(scores)
    assert scores.dtype == tf.float32
    assert np.abs(tape.gradient(largest, values)).max() > 0
    graph = Graph.read(files.split())
    with pytest.raises(NotInTensorFlow, match="; train in Keras"):
        Computation(graph, [graph.inputs[0].index], [graph.outputs[0].index], remedy="train in Keras")


def test_tensorflow_is_set_up_once_for_exact_products() -> None:
    """No TF32; without a GPU there is no name of one."""
    prepare()
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert (prepare() is None) == (not tf.config.list_physical_devices("GPU"))
