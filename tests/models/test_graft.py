"""A branch grafted onto a .tflite file answers there, and what the file said before stays the same bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from models.branches.file import Perceptron, branch_file, softmax
from models.bundle import SHIPPED, Bundle, Exit, InputSpec, Task, file_digest
from models.engine import Engine
from models.errors import TensorNotFound
from models.exits import ExitRule
from models.flatbuffer import decode, encode
from models.graft import GraftError, graft
from models.graph import Graph
from models.profile import noise
from models.runtime import new_interpreter
from models.stages import StagedHead
from models.tasks import dequantise
from tests.models import tflite_files as files
from tests.models import zoo

LABELS = ("a", "b", "c")


def perceptron(channels: int, outputs: int = 3, *, is_softmax: bool = True) -> Perceptron:
    """A branch of random weights that neither vanishes nor explodes."""
    random = np.random.default_rng(channels)
    kernel, out = random.normal(0, channels**-0.5, (channels, 8)), random.normal(0, 0.5, (8, outputs))
    bias, out_bias = random.normal(0, 0.1, 8), random.normal(0, 0.1, outputs)
    return Perceptron(
        kernel.astype(np.float32), bias.astype(np.float32), out.astype(np.float32), out_bias.astype(np.float32),
        is_softmax,
    )  # fmt: skip


def pooled(values: np.ndarray, scale: float = 0.0, zero_point: int = 0) -> np.ndarray:
    """The mean over the picture of an activation, in real numbers."""
    real = values.astype(np.float32) if not scale else (values.astype(np.float32) - zero_point) * np.float32(scale)
    return real.reshape(1, -1, values.shape[-1]).mean(axis=1)


def branch_at(engine: Engine, name: str, picture: np.ndarray, *, as_float: bool = False) -> tuple[bytes, np.ndarray]:
    """A branch for a cut point, and what it should say of the picture."""
    source = engine.graph.tensors[engine.graph.index(name)]
    (activation,) = engine.part(None, [name]).run(picture)
    features = pooled(activation, source.scale, source.zero_point)
    made = perceptron(source.shape[-1])
    if as_float:
        source = replace(source, dtype="float32", scale=0.0, zero_point=0)
    return branch_file(source, {"kind": made}, features), made.answer(features)


def real(part_output: np.ndarray, spec) -> np.ndarray:
    return dequantise(part_output, spec).reshape(1, -1)


def plain_run(content: bytes, picture: np.ndarray) -> list[bytes]:
    """What LiteRT gives for the file as it is, output by output."""
    plain = new_interpreter(content, 1, True)
    plain.allocate_tensors()
    plain.set_tensor(plain.get_input_details()[0]["index"], picture)
    plain.invoke()
    return [plain.get_tensor(detail["index"]).tobytes() for detail in plain.get_output_details()]


def test_a_branch_answers_and_the_model_does_as_before() -> None:
    """In a float model the branch gives its own numbers, and the first output keeps its bits."""
    content = files.residual()
    engine = Engine(content)
    picture = np.random.default_rng(1).random((1, 8, 8, 3), np.float32)
    branch, expected = branch_at(engine, "conv_b", picture)
    grown = graft(content, branch, "conv_b", {"exit1/kind": "kind"})
    whole = Engine(grown).whole()
    assert [spec.name for spec in whole.outputs] == ["scores", "exit1/kind"]
    final, early = whole.run(picture)
    assert final.tobytes() == engine.whole().run(picture)[0].tobytes()
    np.testing.assert_allclose(early, expected, atol=1e-5)
    assert plain_run(grown, picture) == [final.tobytes(), early.tobytes()]


@pytest.mark.parametrize("as_float", [False, True])
def test_an_int8_model_takes_an_int8_branch_or_a_float_one(as_float: bool) -> None:
    """The shipped int8 model keeps its bits; a float branch reads it through DEQUANTIZE."""
    content = (SHIPPED / "litter" / "model.tflite").read_bytes()
    engine = Engine(content, outputs=["litter"])
    picture = noise(engine.whole().inputs[0], 3)
    branch, expected = branch_at(engine, "block_5_add", picture, as_float=as_float)
    grown = graft(content, branch, "block_5_add", {"exit9/kind": "kind"})
    kinds = [operator.kind for operator in Graph.read(grown).operators][len(engine.graph.operators) :]
    assert kinds == ["DEQUANTIZE"] * as_float + ["MEAN", "FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"]
    part = Engine(grown).part(None, ["litter", "exit9/kind"])
    final, early = part.run(picture)
    assert final.tobytes() == engine.whole().run(picture)[0].tobytes()
    np.testing.assert_allclose(real(early, part.outputs[1]), expected, atol=1e-5 if as_float else 0.03)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_two_exits_staged_are_the_whole(kind: str, tmp_path: Path) -> None:
    """With two grafted exits, stages and tails give the whole's bits at every place, in float and int8."""
    content = zoo.zoo_model("MobileNetV2", kind).read_bytes()
    before = Engine(content)
    finals = [spec.name for spec in before.whole().outputs]
    picture = noise(before.whole().inputs[0], 5)
    expected = before.whole().run(picture)[0].tobytes()
    places = [point.name for point in before.graph.cut_points() if len(point.shape) == 4][8:24:14]
    for number, place in enumerate(places, 1):
        branch, _ = branch_at(before, place, picture)
        content = graft(content, branch, place, {f"exit{number}/kind": "kind"})
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    engine = Engine(path, outputs=finals)
    assert engine.graph.cut_points() == before.graph.cut_points()
    exits = tuple(
        Exit(f"exit{n}", place, {"kind": f"exit{n}/kind"}, "entropy", {}, {}) for n, place in enumerate(places, 1)
    )
    tasks = (Task("kind", "classification", finals[0], LABELS),)
    bundle = Bundle("toy", file_digest(path), path, InputSpec(96, 96, -1.0, 1.0), tasks, tuple(finals), (), exits)
    never = {found.name: ExitRule("entropy", {"kind": 0.0}) for found in exits}
    head = StagedHead(engine, bundle, "device", never)
    assert head.exits == ("exit1", "exit2")
    assert head.run(picture).values[0].tobytes() == expected
    middle = engine.graph.cut_points()[20].name
    left = engine.tail(middle).run(*StagedHead(engine, bundle, middle, never).run(picture).values)[0]
    assert left.tobytes() == expected
    assert plain_run(content, picture)[0] == expected


def test_a_model_without_a_signature_gets_one() -> None:
    """Its input and output keep the names by which they were known."""
    content = files.half_weights()
    before = Graph.read(content)
    branch = branch_file(before.outputs[0], {"kind": perceptron(4)}, np.ones((1, 4)))
    grown = Graph.read(graft(content, branch, "first_moved", {"exit1/kind": "kind"}))
    assert (before.signature, grown.signature) == ("", "serving_default")
    assert [grown.tensor_name(tensor.index) for tensor in (*grown.inputs, *grown.outputs)] == [
        "picture", "second_moved", "exit1/kind",
    ]  # fmt: skip


def test_operators_keep_their_versions() -> None:
    """Two versions of one operator stand side by side; the same version is not listed twice."""
    content = files.quantised()
    branch = branch_file(Graph.read(content).tensors[Graph.read(content).index("first")], {"k": perceptron(4)},
                         np.ones((1, 4)))  # fmt: skip
    grown = decode(graft(content, branch, "first", {"e/k": "k"}), "x")
    named = [(code.get("builtin_code", 0), code.get("version", 1)) for code in grown["operator_codes"]]
    assert len(named) == len(set(named)) + 1  # the toy file itself lists its convolution twice
    both = graft(graft(content, branch, "first", {"e/k": "k"}), branch, "first", {"f/k": "k"})
    assert len(decode(both, "x")["operator_codes"]) == len(grown["operator_codes"])
    older = dict(decode(branch, "x"))
    older["operator_codes"] = tuple({**code, "version": code["version"] - 1} for code in older["operator_codes"])
    mixed = decode(graft(both, encode(older, "x"), "first", {"g/k": "k"}), "x")
    assert len(mixed["operator_codes"]) == len(grown["operator_codes"]) + 3


def test_another_reader_finds_it_whole() -> None:
    """LiteRT's own reader sees the new output in graph and signature, and metadata that still holds."""
    content = files.residual()
    branch = branch_file(Graph.read(content).tensors[Graph.read(content).index("conv_a")], {"k": perceptron(4)},
                         np.ones((1, 4)))  # fmt: skip
    grown = graft(content, branch, "conv_a", {"e/k": "k"})
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(grown))
    assert [entry.name for entry in model.signatureDefs[0].outputs] == [b"scores", b"e/k"]
    assert [entry.name for entry in model.metadata] == [b"min_runtime_version"]
    needed = files.Maker()
    source = needed.tensor("x", (1, 8, 8, 4))
    needed.ends([source], [needed.conv("later", source, (1, 8, 8, 4), 2)])
    needed.metadata("min_runtime_version", b"2.9.1\0")
    later = decode(graft(content, needed.file(), "conv_a", {"e/k": "net"}), "x")
    (entry,) = later["metadata"]
    assert bytes(later["buffers"][entry["buffer"]]["data"]) == b"2.9.1\0"


def test_what_does_not_fit_is_refused() -> None:
    """A taken name, another shape, other steps of int8, and what is not there each give one line."""
    content, plain = files.quantised(), files.residual()
    first = Graph.read(content).tensors[Graph.read(content).index("first")]
    branch = branch_file(first, {"k": perceptron(4)}, np.ones((1, 4)))
    with pytest.raises(
        GraftError, match=r"branch takes int8 of scale 0.05, zero point 4, 'second' is int8 .* -7; make"
    ):
        graft(content, branch, "second", {"e/k": "k"})
    with pytest.raises(GraftError, match=r"takes \[1, 4, 4, 4\], .* is \[1, 8, 8, 4\]; make it for that shape"):
        graft(plain, branch, "conv_a", {"e/k": "k"})
    for name in ("scores", "first", ""):
        with pytest.raises(GraftError, match=r"has a tensor .* already, expected a new name; choose another"):
            graft(content, branch, "first", {name: "k"})
    with pytest.raises(GraftError, match="no output is named"):
        graft(content, branch, "first", {})
    with pytest.raises(TensorNotFound, match="no activation 'third'"):
        graft(content, branch, "third", {"e/k": "k"})
    with pytest.raises(TensorNotFound, match="the branch has no activation 'kind'"):
        graft(content, branch, "first", {"e/k": "kind"})
    with pytest.raises(GraftError, match="the branch has 2 inputs, expected one"):
        graft(plain, files.two_inputs(), "conv_a", {"e/k": "conv_o"})


def test_a_branch_of_two_tasks_has_two_outputs() -> None:
    """A classification and a regression share the pooled activation; an activation without a picture needs no pool."""
    content = files.residual()
    engine = Engine(content)
    picture = np.random.default_rng(1).random((1, 8, 8, 3), np.float32)
    both = {"kind": perceptron(6), "age": perceptron(6, 1, is_softmax=False)}
    for place, operators in (("conv_c", 6), ("pool", 5)):
        source = engine.graph.tensors[engine.graph.index(place)]
        features = pooled(engine.part(None, [place]).run(picture)[0])
        branch = branch_file(source, both, features)
        assert len(Graph.read(branch).operators) == operators
        grown = graft(content, branch, place, {"exit1/kind": "kind", "exit1/age": "age"})
        _, kind, age = Engine(grown).whole().run(picture)
        np.testing.assert_allclose(kind, softmax(both["kind"].activations(features)[1]), atol=1e-5)
        np.testing.assert_allclose(age, both["age"].answer(features), atol=1e-5)
