"""Each kind of operator computes in TensorFlow what LiteRT computes: real numbers, and int8 within a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from models.engine import Engine
from models.tensorflow_engine.engine import TensorFlowEngine
from models.tensorflow_engine.operators import KINDS
from tests.models.tflite_files import Maker

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
Shape = tuple[int, ...]
PICTURE: Shape = (1, 6, 5, 4)


def options(kind: str, **fields: Any) -> Any:
    """Return the options of a kind of operator with these fields."""
    found = getattr(schema, f"{kind}OptionsT")()
    for name, value in fields.items():
        assert hasattr(found, name), name
        setattr(found, name, value)
    return found


def conv(**fields: Any) -> Any:
    return options("Conv2D", **{"padding": SAME, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1,
                                **fields})  # fmt: skip


def depthwise(**fields: Any) -> Any:
    return options("DepthwiseConv2D", **{"padding": SAME, "strideH": 1, "strideW": 1, "dilationHFactor": 1,
                                         "dilationWFactor": 1, "depthMultiplier": 1, **fields})  # fmt: skip


def pool(**fields: Any) -> Any:
    return options("Pool2D", **{"padding": SAME, "strideH": 2, "strideW": 1, "filterHeight": 3, "filterWidth": 2,
                                **fields})  # fmt: skip


class Case:
    """One operator: its kind, the shape it makes of `source`, its other inputs and its options."""

    def __init__(
        self, kind: str, target: Shape, *others: object, source: Shape = PICTURE, version: int = 1, **more: Any
    ) -> None:
        self.kind, self.target, self.others, self.source, self.version = kind, target, others, source, version
        self.options = more.get("options")

    def file(self) -> bytes:
        """Return it as a file; others are the shapes of weights, arrays of integers, or "again" for the source."""
        maker = Maker()
        source, out = maker.tensor("picture", self.source), maker.tensor("out", self.target)
        inputs = [source, *(self._other(maker, number, source) for number in range(len(self.others)))]
        maker.operator(self.kind, inputs, [out], self.options, version=self.version)
        maker.ends([source], [out])
        return maker.file()

    def _other(self, maker: Maker, number: int, source: int) -> int:
        other = self.others[number]
        if other == "again":
            return source
        if isinstance(other, tuple):
            return maker.weights(f"held_{number}", other)
        held = np.array(other, np.int32)
        return maker.tensor(f"held_{number}", held.shape, "int32", data=held)


CASES = [
    Case("CONV_2D", (1, 6, 5, 3), (3, 3, 3, 4), (3,), options=conv(fusedActivationFunction=3)),
    Case("CONV_2D", (1, 3, 3, 3), (3, 3, 3, 4), (3,), options=conv(strideH=2, strideW=2, fusedActivationFunction=1)),
    Case("CONV_2D", (1, 4, 3, 3), (3, 3, 3, 4), (3,), options=conv(padding=VALID)),
    Case("CONV_2D", (1, 2, 4, 3), (3, 3, 2, 4), (3,), options=conv(padding=VALID, dilationHFactor=2)),
    Case("CONV_2D", (1, 6, 5, 3), (3, 1, 1, 4), (3,), options=conv(fusedActivationFunction=2)),
    Case("DEPTHWISE_CONV_2D", (1, 6, 5, 4), (1, 3, 3, 4), (4,), options=depthwise()),
    Case("DEPTHWISE_CONV_2D", (1, 6, 5, 8), (1, 3, 3, 8), (8,), options=depthwise(depthMultiplier=2)),
    Case("DEPTHWISE_CONV_2D", (1, 2, 2, 4), (1, 3, 3, 4), (4,), options=depthwise(padding=VALID, strideH=2, strideW=2)),
    Case(
        "DEPTHWISE_CONV_2D", (1, 6, 5, 4), (1, 3, 3, 4), (4,),
        options=depthwise(dilationHFactor=2, dilationWFactor=2, fusedActivationFunction=3),
    ),
    Case("FULLY_CONNECTED", (1, 3), (3, 120), (3,), options=options("FullyConnected", fusedActivationFunction=1)),
    Case("FULLY_CONNECTED", (1, 6, 5, 3), (3, 4), (3,), options=options("FullyConnected", keepNumDims=True), version=5),
    Case("AVERAGE_POOL_2D", (1, 3, 5, 4), options=pool()),
    Case("AVERAGE_POOL_2D", (1, 2, 4, 4), options=pool(padding=VALID, fusedActivationFunction=1)),
    Case("MAX_POOL_2D", (1, 3, 5, 4), options=pool()),
    Case("MAX_POOL_2D", (1, 2, 4, 4), options=pool(padding=VALID)),
    Case("MEAN", (1, 4), [1, 2], options=options("Reducer")),
    Case("MEAN", (1, 1, 1, 4), [-2, 1], options=options("Reducer", keepDims=True)),
    Case("SUM", (1, 6, 4), 2, options=options("Reducer")),
    Case("REDUCE_MAX", (1, 6, 5, 1), [3], options=options("Reducer", keepDims=True)),
    Case("ADD", PICTURE, "again", options=options("Add", fusedActivationFunction=1)),
    Case("SUB", PICTURE, (4,), options=options("Sub", fusedActivationFunction=3)),
    Case("MUL", PICTURE, (1, 1, 1, 4), options=options("Mul", fusedActivationFunction=2)),
    Case("DIV", PICTURE, (4,), options=options("Div")),
    Case("MAXIMUM", PICTURE, (4,), options=options("MaximumMinimum")),
    Case("MINIMUM", PICTURE, (4,), options=options("MaximumMinimum")),
    Case("SQUARED_DIFFERENCE", PICTURE, (4,), options=options("SquaredDifference")),
    Case("PRELU", PICTURE, (1, 1, 4)),
    *(Case(kind, PICTURE) for kind in ("RELU", "RELU6", "ELU", "HARD_SWISH", "LOGISTIC", "TANH", "SQRT", "RSQRT")),
    Case("GELU", PICTURE, options=options("Gelu")),
    Case("GELU", PICTURE, options=options("Gelu", approximate=True)),
    Case("LEAKY_RELU", PICTURE, options=options("LeakyRelu", alpha=0.3)),
    Case("SOFTMAX", PICTURE, options=options("Softmax", beta=2.0)),
    Case("CONCATENATION", (1, 6, 10, 4), "again", options=options("Concatenation", axis=2)),
    Case("CONCATENATION", (1, 6, 5, 8), "again", options=options("Concatenation", axis=-1)),
    Case("PAD", (1, 9, 6, 4), [[0, 0], [1, 2], [0, 1], [0, 0]], options=options("Pad")),
    Case("TRANSPOSE", (1, 4, 6, 5), [0, 3, 1, 2], options=options("Transpose")),
    Case("RESHAPE", (1, 30, 4), [-1, 30, 4], options=options("Reshape", newShape=[-1, 30, 4])),
    Case("SQUEEZE", (1, 6, 4), source=(1, 6, 1, 4), options=options("Squeeze", squeezeDims=[2])),
    Case("EXPAND_DIMS", (1, 1, 6, 5, 4), 1, options=options("ExpandDims")),
]  # fmt: skip
STEPPED = {
    "ADD": 2, "MUL": 2, "SUB": 2, "MAX_POOL_2D": 1, "AVERAGE_POOL_2D": 1, "RELU": 2, "RELU6": 2, "LEAKY_RELU": 2,
    "HARD_SWISH": 1, "LOGISTIC": 1, "TANH": 1, "PAD": 2, "MEAN": 2, "CONCATENATION": 2, "RESHAPE": 1, "SOFTMAX": 1,
    "TRANSPOSE": 1,
}  # fmt: skip
"""The kinds whose int8 files are tried, and since which version of the operator LiteRT has them."""
FIXED_OUTPUTS = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
"""Source: the TensorFlow Lite 8-bit quantisation specification."""
AS_IT_IS = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "CONCATENATION", "RESHAPE", "TRANSPOSE"})
"""Their outputs have the scale of their inputs."""


def three(case: Case, engine: Engine) -> np.ndarray:
    """Return numbers for three pictures, of both signs but for a root."""
    numbers = np.random.default_rng(3).normal(0.5, 2.0, (3, *case.source[1:])).astype(np.float32)
    return np.abs(numbers) + 0.1 if case.kind in {"SQRT", "RSQRT"} else numbers


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{CASES.index(case)}")
def test_real_numbers_are_litert_s(case: Case) -> None:
    """To the sixth digit, for three pictures at once."""
    content = case.file()
    litert = Engine(content)
    numbers = three(case, litert)
    (expected,), (got,) = litert.whole().run(numbers), TensorFlowEngine(content).whole().run(numbers)
    assert got.shape == (3, *case.target[1:])
    assert got == pytest.approx(expected, rel=2e-5, abs=2e-5)


def test_every_kind_is_tried() -> None:
    """No operator is taken for known that was not held against LiteRT; QUANTIZE and DEQUANTIZE: below."""
    assert {case.kind for case in CASES} | {"QUANTIZE", "DEQUANTIZE"} == set(KINDS)


def in_steps(case: Case) -> bytes:
    """Return an operator's file with int8 activations; weights of the second input become an int8 activation's."""
    maker = Maker()
    scale, place = 0.04, -7
    source = maker.tensor("picture", case.source, "int8", scale=scale, zero_point=place)
    target = FIXED_OUTPUTS.get(case.kind, (scale, place) if case.kind in AS_IT_IS else (0.05, 3))
    out = maker.tensor("out", case.target, "int8", scale=target[0], zero_point=target[1])
    inputs = [source]
    for number, other in enumerate(case.others):
        if isinstance(other, tuple):
            inputs.append(maker.weights(f"held_{number}", other, "int8", scale=0.01))
        else:
            inputs.append(case._other(maker, number, source))
    maker.operator(case.kind, inputs, [out], case.options, version=STEPPED[case.kind])
    maker.ends([source], [out])
    return maker.file()


@pytest.mark.parametrize("kind", STEPPED)
def test_int8_is_within_a_step(kind: str) -> None:
    """What LiteRT rounds one way, TensorFlow may round the other, no more."""
    case = next(case for case in CASES if case.kind == kind)
    content = in_steps(case)
    numbers = np.random.default_rng(3).integers(-128, 128, (3, *case.source[1:]), np.int8)
    (expected,), (got,) = Engine(content).whole().run(numbers), TensorFlowEngine(content).whole().run(numbers)
    assert got.dtype == np.int8
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1
    assert len(np.unique(expected)) > 5


Make = Callable[[Maker, int], int]


def weighted(kind: str, target: Shape, weights: Shape, given: Any) -> bytes:
    """Return an int8 file of one operator with weights of a scale for each channel, and an int32 bias."""
    maker = Maker()
    channels = target[-1]
    scales = [0.01 * (1 + number) for number in range(channels)]
    source = maker.tensor("picture", PICTURE, "int8", scale=0.04, zero_point=-7)
    kernel = maker.weights("kernel", weights, "int8", scale=scales)
    maker.sub.tensors[kernel].quantization.quantizedDimension = weights.index(channels) if weights[0] == 1 else 0
    bias = maker.weights("bias", (channels,), "int32", scale=[0.04 * one for one in scales])
    out = maker.tensor("out", target, "int8", scale=0.4, zero_point=3)
    maker.operator(kind, [source, kernel, bias], [out], given, version=3)
    maker.ends([source], [out])
    return maker.file()


@pytest.mark.parametrize(
    ("kind", "target", "weights", "given"),
    [
        ("CONV_2D", (1, 6, 5, 3), (3, 3, 3, 4), conv(fusedActivationFunction=3)),
        ("CONV_2D", (1, 3, 3, 3), (3, 3, 3, 4), conv(strideH=2, strideW=2)),
        ("DEPTHWISE_CONV_2D", (1, 6, 5, 4), (1, 3, 3, 4), depthwise(fusedActivationFunction=1)),
    ],
)
def test_convolutions_of_int8_are_within_a_step(kind: str, target: Shape, weights: Shape, given: Any) -> None:
    """Sums of whole steps, a scale for each channel, and hardly a number rounded the other way."""
    content = weighted(kind, target, weights, given)
    numbers = np.random.default_rng(3).integers(-128, 128, (3, *PICTURE[1:]), np.int8)
    (expected,), (got,) = Engine(content).whole().run(numbers), TensorFlowEngine(content).whole().run(numbers)
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1
    assert np.count_nonzero(got != expected) <= got.size / 50
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_borders_between_real_numbers_and_steps(dtype: str) -> None:
    """QUANTIZE and DEQUANTIZE, and QUANTIZE from one scale to another."""
    maker = Maker()
    first = maker.tensor("picture", (1, 40), dtype, **({"scale": 0.02, "zero_point": 5} if dtype == "int8" else {}))
    steps = maker.tensor("steps", (1, 40), "int8", scale=0.05, zero_point=-3)
    out = maker.tensor("out", (1, 40))
    maker.operator("QUANTIZE", [first], [steps], options("Quantize"), version=2)
    maker.operator("DEQUANTIZE", [steps], [out], options("Dequantize"), version=2)
    maker.ends([first], [out])
    random = np.random.default_rng(3)
    numbers = random.uniform(-8, 8, (2, 40)) if dtype == "float32" else random.integers(-128, 128, (2, 40))
    values, content = numbers.astype(dtype), maker.file()
    (expected,), (got,) = Engine(content).whole().run(values), TensorFlowEngine(content).whole().run(values)
    assert np.abs(got - expected).max() <= 0.0501
    assert np.mean(got != expected) <= 0.2


@pytest.mark.parametrize("turned", [False, True])
def test_an_activation_of_a_lower_rank_keeps_its_rows(turned: bool) -> None:
    """What a picture gives as a vector is multiplied into the same picture's channels, not into another's."""
    maker = Maker()
    picture = maker.tensor("picture", (1, 6, 4, 4))
    axes = maker.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    vector, out = maker.tensor("vector", (1, 4)), maker.tensor("out", (1, 6, 4, 4))
    maker.operator("MEAN", [picture, axes], [vector], options("Reducer"))
    maker.operator("MUL", [vector, picture] if turned else [picture, vector], [out], options("Mul"))
    maker.ends([picture], [out])
    content = maker.file()
    litert, part = Engine(content).whole(), TensorFlowEngine(content).whole()
    numbers = np.random.default_rng(3).normal(0, 1, (4, 6, 4, 4)).astype(np.float32)
    alone: Sequence[np.ndarray] = [litert.run(numbers[row : row + 1])[0] for row in range(4)]
    assert part.run(numbers)[0] == pytest.approx(np.concatenate(alone), rel=1e-5, abs=1e-6)
