"""Lay a bottleneck into a .tflite file: its layers become operators between a cut point and all that reads it.

The code is int8 with scale 1 and zero point 0, so that the integers of the training are the integers that travel; in a
float file it stands between a QUANTIZE and a DEQUANTIZE. Where halved sides were odd, what the decoder gives is cut to
size. Head and tail keep their weights and their quantisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.errors import CutError, UnsupportedModel
from models.extract import operators_between
from models.flatbuffer import Table, decode, encode
from models.graph import Graph
from models.structure import Tensor
from models.tflite_schema import OPERATORS, TENSOR_TYPES, UNIONS
from models.training.bottleneck.layers import Bottleneck, Convolution

CODE: Final = "bottleneck"
"""The name of the tensor that travels, and so of the cut point."""
_RELU: Final = 1  # Source: the TensorFlow Lite schema, ActivationFunctionType
_INT8_STEPS: Final = 127
_VERSIONS: Final = {"CONV_2D": 3, "DEPTH_TO_SPACE": 2, "QUANTIZE": 1, "DEQUANTIZE": 2, "SLICE": 2}
"""The first versions of the operators that take int8. Source: tensorflow/lite/tools/versioning/op_version.cc."""
_OPTIONS: Final = {
    "CONV_2D": "Conv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "QUANTIZE": "QuantizeOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "SLICE": "SliceOptions",
}


@dataclass(frozen=True)
class _Scale:
    """How a tensor's integers stand for real numbers; 0.0: it holds real numbers."""

    scale: float
    zero_point: int

    @property
    def dtype(self) -> str:
        return "int8" if self.scale else "float32"


_REAL, _WHOLE = _Scale(0.0, 0), _Scale(1.0, 0)


def with_bottleneck(content: bytes, at: str, layers: Bottleneck, outputs: Sequence[str] | None = None) -> bytes:
    """Return the model with the layers behind the cut point `at`; `outputs` names the final outputs, where not all.

    What leads only to other outputs (early exits before or at the cut point) goes on reading the cut point itself.
    Raises: CutError when it has a bottleneck already, UnsupportedModel for a cut point of another kind.
    """
    graph = Graph.read(content, outputs=outputs)
    point = graph.cut_point(at)
    if CODE in graph.names.values():
        raise CutError(graph.origin, f"it has a tensor {CODE!r} already", "begin with the model before that")
    check_cut(graph, at)
    model = decode(content, graph.origin)
    return encode(_Splicer(model, graph, graph.tensors[point.index]).spliced(layers), graph.origin)


def check_cut(graph: Graph, at: str) -> None:
    """Raise UnsupportedModel unless a bottleneck can be laid behind this cut point."""
    point = graph.cut_point(at)
    known = point.dtype == "float32" or (point.dtype == "int8" and point.scale > 0)
    if len(point.shape) != 4 or not known:
        raise UnsupportedModel(
            graph.origin,
            f"{at} is {point.dtype} {point.shape}, a bottleneck needs (1, height, width, channels) in float32 or int8",
            "take a cut point between convolutions",
        )


class _Splicer:
    """Adds tensors, buffers and operators to one model's tables."""

    def __init__(self, model: Table, graph: Graph, cut: Tensor) -> None:
        self._model, self._graph, self._cut = model, graph, cut
        self._subgraph: Table = model["subgraphs"][0]
        self._tensors = list(self._subgraph["tensors"])
        self._buffers, self._codes = list(model["buffers"]), list(model["operator_codes"])
        self._added: list[Table] = []

    def spliced(self, layers: Bottleneck) -> Table:
        """Return the model with the layers; the parts that stay are shared with what was read."""
        real = _Scale(self._cut.scale, self._cut.zero_point)
        place, scale, shape = self._cut.index, real, self._cut.shape
        for number, layer in enumerate(layers.encoder):
            last = number == len(layers.encoder) - 1
            wanted = (_WHOLE if last else _of_relu(layer.top)) if real.scale else _REAL
            name = CODE if last and real.scale else f"{CODE}_encoder_{number}"
            place, scale, shape = self._layer(layer, place, scale, shape, wanted, name)
        if not real.scale:
            place = self._operator("QUANTIZE", [place], self._tensor(CODE, shape, _WHOLE), {})
            place = self._operator("DEQUANTIZE", [place], self._tensor(f"{CODE}_real", shape, _REAL), {})
        for number, layer in enumerate(layers.decoder):
            last = number == len(layers.decoder) - 1
            wanted = (real if last else _of_relu(layer.top)) if real.scale else _REAL
            place, scale, shape = self._layer(layer, place, scale, shape, wanted, f"{CODE}_decoder_{number}")
        return self._joined(self._fitted(place, scale, shape))

    def _fitted(self, place: int, scale: _Scale, shape: tuple[int, ...]) -> int:
        """Return where the decoder's output has the cut point's size: the rows and columns over it are left out."""
        wanted = self._cut.shape
        if shape == wanted:
            return place
        if shape[3] != wanted[3] or min(shape[1] - wanted[1], shape[2] - wanted[2]) < 0:
            raise CutError(self._graph.origin, f"the bottleneck gives {shape}", f"it must give {wanted}")
        begin = self._constant(f"{CODE}_begin", np.zeros(4, np.int32))
        size = self._constant(f"{CODE}_size", np.array([-1, *wanted[1:]], np.int32))
        return self._operator("SLICE", [place, begin, size], self._tensor(f"{CODE}_fitted", wanted, scale), {})

    def _layer(
        self, layer: Convolution, place: int, given: _Scale, shape: tuple[int, ...], wanted: _Scale, name: str
    ) -> tuple[int, _Scale, tuple[int, ...]]:
        """Add one convolution, and what spreads its channels; return where its output is."""
        weights, bias = self._weights(layer, given.scale, name)
        out = (1, -(-shape[1] // layer.stride), -(-shape[2] // layer.stride), layer.kernel.shape[3])
        options = {"stride_w": layer.stride, "stride_h": layer.stride}
        options["fused_activation_function"] = _RELU if layer.relu else 0
        options |= {"dilation_w_factor": 1, "dilation_h_factor": 1}
        target = self._tensor(f"{name}_blocks" if layer.doubles else name, out, wanted)
        place = self._operator("CONV_2D", [place, weights, bias], target, options)
        if not layer.doubles:
            return place, wanted, out
        out = (1, 2 * out[1], 2 * out[2], out[3] // 4)
        place = self._operator("DEPTH_TO_SPACE", [place], self._tensor(name, out, wanted), {"block_size": 2})
        return place, wanted, out

    def _weights(self, layer: Convolution, given: float, name: str) -> tuple[int, int]:
        """Add kernel and bias: real numbers, or integers with a scale per output channel.

        Source: the LiteRT 8-bit quantisation specification, CONV_2D.
        """
        kernel = np.ascontiguousarray(layer.kernel.transpose(3, 0, 1, 2), np.float32)
        if not given:
            return self._constant(f"{name}_kernel", kernel), self._constant(f"{name}_bias", layer.bias)
        largest = np.maximum(np.abs(kernel).reshape(len(kernel), -1).max(axis=1), 1e-9)
        steps = (largest / _INT8_STEPS).astype(np.float32)
        whole = np.rint(kernel / steps[:, None, None, None]).astype(np.int8)
        offsets = np.rint(layer.bias / (steps * np.float32(given))).astype(np.int32)
        scales = self._constant(f"{name}_kernel", whole, steps)
        return scales, self._constant(f"{name}_bias", offsets, steps * np.float32(given))

    def _tensor(self, name: str, shape: tuple[int, ...], scale: _Scale, buffer: int = 0) -> int:
        table: Table = {"shape": shape, "type": TENSOR_TYPES.index(scale.dtype), "buffer": buffer, "name": name}
        if len(self._cut_signature) == len(shape) and self._cut_signature[0] == -1:
            table["shape_signature"] = (-1, *shape[1:])
        if scale.scale:
            table["quantization"] = {"scale": (scale.scale,), "zero_point": (scale.zero_point,)}
        self._tensors.append({**table, "has_rank": True})
        return len(self._tensors) - 1

    @property
    def _cut_signature(self) -> tuple[int, ...]:
        return self._cut.shape_signature

    def _constant(self, name: str, values: np.ndarray, scales: np.ndarray | None = None) -> int:
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
        self._buffers.append({"data": memoryview(values.tobytes())})
        table = {"shape": values.shape, "type": TENSOR_TYPES.index(values.dtype.name), "buffer": len(self._buffers) - 1}
        table |= {"name": name, "has_rank": True}
        if scales is not None:
            table["quantization"] = {"scale": tuple(map(float, scales)), "zero_point": (0,) * len(scales)}
        self._tensors.append(table)
        return len(self._tensors) - 1

    def _operator(self, kind: str, inputs: Sequence[int], output: int, options: Table) -> int:
        tag = UNIONS["builtin_options"].index(_OPTIONS[kind])
        operator = {"opcode_index": self._code(kind), "inputs": tuple(inputs), "outputs": (output,)}
        self._added.append({**operator, "builtin_options_type": tag, "builtin_options": options})
        return output

    def _code(self, kind: str) -> int:
        number, version = OPERATORS.index(kind), _VERSIONS[kind]
        for place, table in enumerate(self._codes):
            known = max(table.get("deprecated_builtin_code", 0), table.get("builtin_code", 0))
            if known == number and table.get("version", 1) >= version:
                return place
        self._codes.append({"deprecated_builtin_code": min(number, 127), "version": version, "builtin_code": number})
        return len(self._codes) - 1

    def _joined(self, decoded: int) -> Table:
        """Return the model with what leads to the final outputs reading the decoded tensor."""
        graph, cut = self._graph, self._cut.index
        inputs, finals = ([t.index for t in ends] for ends in (graph.inputs, graph.outputs))
        path = {o.index for o in operators_between(graph.tensors, graph.operators, inputs, finals, graph.origin)}
        operators: list[Table] = []
        for number, table in enumerate(self._subgraph["operators"]):
            reads = number in path and cut in table.get("inputs", ())
            moved = tuple(decoded if index == cut else index for index in table.get("inputs", ()))
            operators.append({**table, "inputs": moved} if reads else table)
            if cut in table.get("outputs", ()):
                operators += self._added
        subgraph = {**self._subgraph, "tensors": tuple(self._tensors), "operators": tuple(operators)}
        rest = {"operator_codes": tuple(self._codes), "buffers": tuple(self._buffers)}
        return {**self._model, **rest, "subgraphs": (subgraph, *self._model["subgraphs"][1:])}


def _of_relu(top: float) -> _Scale:
    return _Scale(max(top, 1e-6) / 255, -128)
