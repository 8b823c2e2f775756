"""The .tflite file of a branch: the mean over the picture, two dense layers per task, written without a converter.

In a float network the branch is float; behind an int8 activation it is int8 throughout: one scale per tensor, symmetric
weights, which every LiteRT since 1.14 runs. Source: TensorFlow Lite's 8-bit quantization specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.flatbuffer import Table, encode
from models.structure import Tensor
from models.tflite_schema import OPERATORS, TENSOR_TYPES, UNIONS

_RELU: Final = 1  # Source: the schema's enum ActivationFunctionType
_SOFTMAX_STEP: Final = (1 / 256, -128)
_INT8_VERSIONS: Final = {"MEAN": 2, "FULLY_CONNECTED": 4, "SOFTMAX": 2}  # Source: GetBuiltinOperatorVersion
_OPTIONS: Final = {"MEAN": "ReducerOptions", "FULLY_CONNECTED": "FullyConnectedOptions", "SOFTMAX": "SoftmaxOptions"}
_LEAST_RANGE: Final = 1e-6

Quantised = tuple[float, int]


@dataclass(frozen=True)
class Perceptron:
    """One task of a branch: features to a hidden layer with ReLU, to scores or a value."""

    hidden: np.ndarray
    """(channels, hidden) float32."""
    hidden_bias: np.ndarray
    out: np.ndarray
    """(hidden, labels) or (hidden, 1) float32."""
    out_bias: np.ndarray
    is_softmax: bool
    gives_logits: bool = False
    """Its file gives the logits, as that of a task of logits; whoever reads them makes probabilities of them."""

    def activations(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the hidden values and the logits, or the value, of (n, channels) features."""
        hidden = np.maximum(features.astype(np.float32) @ self.hidden + self.hidden_bias, 0)
        return hidden, hidden @ self.out + self.out_bias

    def answer(self, features: np.ndarray) -> np.ndarray:
        """Return (n, labels) probabilities, or (n, 1) values, of (n, channels) features."""
        logits = self.activations(features)[1]
        return softmax(logits) if self.is_softmax else logits

    @property
    def madds(self) -> int:
        """The multiply-adds of one picture."""
        return self.hidden.size + self.out.size


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of (n, labels) logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def branch_file(source: Tensor, tasks: Mapping[str, Perceptron], features: np.ndarray) -> bytes:
    """Return the .tflite file that answers the tasks from an activation like `source`, one output for each.

    `features` are (n, channels) means of that activation, which show the ranges of an int8 branch.
    """
    maker = _Maker(is_int8=source.dtype == "int8")
    first = maker.tensor("activation", source.shape, _step(source), signature=source.shape_signature)
    pooled, signature = (source.shape[0], source.shape[-1]), (source.shape_signature[0], source.shape[-1])
    mean = first
    if len(source.shape) > 2:
        axes = np.arange(1, len(source.shape) - 1, dtype=np.int32)
        mean = maker.tensor("mean", pooled, step_of(features), signature=signature)
        maker.operator("MEAN", [first, maker.constant("axes", axes)], mean, {})
    ends = {name: _add_task(maker, name, perceptron, mean, features) for name, perceptron in tasks.items()}
    return encode(maker.model(first, ends), "the branch")


def _step(source: Tensor) -> Quantised:
    return source.scale, source.zero_point


def step_of(values: np.ndarray) -> Quantised:
    """Return scale and zero point of an int8 tensor that holds these values, and exactly 0."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = max(high - low, _LEAST_RANGE) / 255
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _add_task(maker: _Maker, name: str, made: Perceptron, mean: int, features: np.ndarray) -> int:
    """Add the layers of a task; return its output."""
    hidden, out = made.activations(features)
    relu = {"fused_activation_function": _RELU}
    first = maker.dense(f"{name}_hidden", mean, (made.hidden, made.hidden_bias), step_of(hidden), relu)
    last = maker.dense(f"{name}_out", first, (made.out, made.out_bias), step_of(out), {})
    if not made.is_softmax or made.gives_logits:
        return last
    end = maker.like(last, f"{name}_scores", _SOFTMAX_STEP)
    maker.operator("SOFTMAX", [last], end, {"beta": 1.0})
    return end


class _Maker:
    """Collects the tables of one small graph."""

    def __init__(self, is_int8: bool) -> None:
        self._is_int8 = is_int8
        self._tensors: list[Table] = []
        self._steps: list[Quantised] = []
        self._operators: list[Table] = []
        self._buffers: list[Table] = [{}]
        self._kinds: list[str] = []

    def tensor(self, name: str, shape: tuple[int, ...], step: Quantised, *, signature: tuple[int, ...]) -> int:
        """Add an activation; `step` counts in an int8 branch only."""
        table = self._table(name, shape, "int8" if self._is_int8 else "float32")
        if -1 in signature:
            table["shape_signature"] = signature
        return self._add(table, step if self._is_int8 else None)

    def like(self, other: int, name: str, step: Quantised) -> int:
        """Add an activation of another's shape."""
        table = self._tensors[other]
        return self.tensor(name, table["shape"], step, signature=table.get("shape_signature", ()))

    def constant(self, name: str, values: np.ndarray, step: Quantised | None = None) -> int:
        """Add a constant."""
        self._buffers.append({"data": memoryview(np.ascontiguousarray(values).tobytes())})
        table = self._table(name, values.shape, values.dtype.name)
        return self._add({**table, "buffer": len(self._buffers) - 1}, step)

    def dense(
        self, name: str, source: int, layer: tuple[np.ndarray, np.ndarray], step: Quantised, options: Mapping[str, Any]
    ) -> int:
        """Add a fully connected layer; return its output."""
        kernel, bias = layer[0].T.astype(np.float32), layer[1].astype(np.float32)
        inside = self._tensors[source]
        batch = (inside.get("shape_signature") or inside["shape"])[0]
        out = self.tensor(name, (1, len(kernel)), step, signature=(batch, len(kernel)))
        if self._is_int8:
            scale = max(float(np.abs(kernel).max()), _LEAST_RANGE) / 127
            steps = scale * self._steps[source][0]
            limit = 2**31 - 1
            weights = self.constant(f"{name}_kernel", np.rint(kernel / scale).astype(np.int8), (scale, 0))
            rounded = np.clip(np.rint(bias.astype(np.float64) / steps), -limit, limit).astype(np.int32)
            offset = self.constant(f"{name}_bias", rounded, (steps, 0))
        else:
            weights, offset = self.constant(f"{name}_kernel", kernel), self.constant(f"{name}_bias", bias)
        self.operator("FULLY_CONNECTED", [source, weights, offset], out, options)
        return out

    def operator(self, kind: str, inputs: list[int], output: int, options: Mapping[str, Any]) -> None:
        """Add an operator of one output."""
        if kind not in self._kinds:
            self._kinds.append(kind)
        union = {"builtin_options_type": UNIONS["builtin_options"].index(_OPTIONS[kind])}
        ends = {"inputs": tuple(inputs), "outputs": (output,)}
        number = {"opcode_index": self._kinds.index(kind)}
        self._operators.append({**number, **ends, **union, "builtin_options": dict(options)})

    def model(self, first: int, ends: Mapping[str, int]) -> Table:
        """Return the Model table, with a signature that names the outputs."""
        graph = {
            "tensors": tuple(self._tensors),
            "inputs": (first,),
            "outputs": tuple(ends.values()),
            "operators": tuple(self._operators),
            "name": "main",
        }
        signature = {
            "inputs": ({"name": "activation", "tensor_index": first},),
            "outputs": tuple({"name": name, "tensor_index": place} for name, place in ends.items()),
            "signature_key": "serving_default",
            "subgraph_index": 0,
        }
        return {
            "version": 3,
            "operator_codes": tuple(map(self._code, self._kinds)),
            "subgraphs": (graph,),
            "description": "a branch made by headwater",
            "buffers": tuple(self._buffers),
            "signature_defs": (signature,),
        }

    def _code(self, kind: str) -> Table:
        number = OPERATORS.index(kind)
        version = _INT8_VERSIONS[kind] if self._is_int8 else 1
        return {"deprecated_builtin_code": number, "version": version, "builtin_code": number}

    def _table(self, name: str, shape: tuple[int, ...], dtype: str) -> Table:
        return {
            "shape": tuple(shape),
            "type": TENSOR_TYPES.index(dtype),
            "buffer": 0,
            "name": name,
            "has_rank": True,
        }

    def _add(self, table: Table, step: Quantised | None) -> int:
        if step is not None:
            table["quantization"] = {"scale": (step[0],), "zero_point": (step[1],), "quantized_dimension": 0}
        self._tensors.append(table)
        self._steps.append(step or (0.0, 0))
        return len(self._tensors) - 1
