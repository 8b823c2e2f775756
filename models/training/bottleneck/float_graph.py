"""A .tflite file as real numbers that TensorFlow can differentiate: what the tail makes of another activation.

Integers are read as what they stand for; the rounding between layers is left out. Weights are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.errors import UnsupportedModel
from models.extract import operators_between
from models.flatbuffer import decode
from models.graph import Graph
from models.structure import Operator, Tensor

_ACTIVATIONS: Final[dict[int, Callable[[Any], Any]]] = {
    0: lambda x: x, 1: tf.nn.relu, 2: lambda x: tf.clip_by_value(x, -1.0, 1.0), 3: tf.nn.relu6, 4: tf.nn.tanh,
}  # fmt: skip
"""Source: the TensorFlow Lite schema, ActivationFunctionType."""
_PADDING: Final = ("SAME", "VALID")
_SHAPES: Final = frozenset({"SHAPE", "STRIDED_SLICE", "PACK"})
"""What Keras writes to keep a batch open; the shapes are known without."""


class FloatGraph:
    """The part of a model from one tensor to some others, in real numbers."""

    def __init__(self, content: bytes, from_: str, to: Sequence[str], finals: Sequence[str] | None = None) -> None:
        """Read the part. Raises: UnsupportedModel for an operator that is not known here."""
        graph = Graph.read(content, outputs=finals)
        self._tensors, self._origin = graph.tensors, graph.origin
        self._from, self._to = graph.index(from_), [graph.index(name) for name in to]
        self._operators = operators_between(graph.tensors, graph.operators, [self._from], self._to, graph.origin)
        model = decode(content, graph.origin)
        self._tables, self._buffers = model["subgraphs"][0]["tensors"], model["buffers"]
        unknown = next((o.kind for o in self._operators if o.kind not in {*_KINDS, *_SHAPES}), None)
        if unknown is not None:
            raise UnsupportedModel(graph.origin, f"{unknown} lies behind {from_}", "cut behind it, or train in Keras")
        read = {index for operator in self._operators for index in operator.inputs if index >= 0}
        self._constants = {
            index: self._constant(graph.tensors[index]) for index in read if graph.tensors[index].constant
        }

    def __call__(self, values: Any) -> list[Any]:
        """Return the outputs for a batch of activations, in the order of `to`."""
        known: dict[int, Any] = {self._from: values}
        for operator in self._operators:
            if operator.kind not in _SHAPES:
                inputs = [known.get(index, self._constants.get(index)) for index in operator.inputs]
                shape = self._tensors[operator.outputs[0]].shape
                known[operator.outputs[0]] = _KINDS[operator.kind](inputs, operator, shape)
        return [known[index] for index in self._to]

    def _constant(self, tensor: Tensor) -> np.ndarray:
        table = self._tables[tensor.index]
        data = bytes(self._buffers[table.get("buffer", 0)]["data"])
        values = np.frombuffer(data, tensor.dtype).reshape(tensor.shape)
        quantisation: Mapping[str, Any] = table.get("quantization", {})
        scales = np.array(quantisation.get("scale", ()), np.float32)
        if not scales.size:
            return values.astype(np.float32) if values.dtype == np.float16 else values
        axis = quantisation.get("quantized_dimension", 0)
        along = [1] * values.ndim
        if scales.size > 1:
            along[axis] = -1
        zero = np.array(quantisation.get("zero_point", (0,)), np.float32)
        return (values.astype(np.float32) - zero.reshape(along if zero.size > 1 else ())) * scales.reshape(
            along if scales.size > 1 else ()
        )


def _active(values: Any, operator: Operator) -> Any:
    return _ACTIVATIONS[operator.options.get("fused_activation_function", 0)](values)


def _convolution(inputs: Sequence[Any], operator: Operator, _shape: tuple[int, ...]) -> Any:
    options = operator.options
    strides = (options.get("stride_h", 1), options.get("stride_w", 1))
    dilations = (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1))
    kernel = np.transpose(inputs[1], (1, 2, 3, 0))
    out = tf.nn.conv2d(inputs[0], kernel, strides, _PADDING[options.get("padding", 0)], dilations=dilations)
    return _active(_biased(out, inputs), operator)


def _depthwise(inputs: Sequence[Any], operator: Operator, _shape: tuple[int, ...]) -> Any:
    options = operator.options
    _, height, width, out_channels = inputs[1].shape
    kernel = np.reshape(inputs[1], (height, width, -1, options.get("depth_multiplier", 1) or 1))
    strides = (1, options.get("stride_h", 1), options.get("stride_w", 1), 1)
    dilations = (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1))
    padding = _PADDING[options.get("padding", 0)]
    if kernel.shape[2] * kernel.shape[3] != out_channels:
        raise UnsupportedModel("the model", "a depthwise convolution does not fit", "convert it again")
    return _active(
        _biased(tf.nn.depthwise_conv2d(inputs[0], kernel, strides, padding, dilations=dilations), inputs), operator
    )


def _biased(values: Any, inputs: Sequence[Any]) -> Any:
    return values + inputs[2] if len(inputs) > 2 and inputs[2] is not None else values


def _dense(inputs: Sequence[Any], operator: Operator, shape: tuple[int, ...]) -> Any:
    flat = tf.reshape(inputs[0], (-1, inputs[1].shape[1]))
    out = _biased(tf.matmul(flat, np.transpose(inputs[1])), inputs)
    return _active(tf.reshape(out, (-1, *shape[1:])), operator)


def _pool(pool: Callable[..., Any]) -> Callable[[Sequence[Any], Operator, tuple[int, ...]], Any]:
    def run(inputs: Sequence[Any], operator: Operator, _shape: tuple[int, ...]) -> Any:
        options = operator.options
        window = (options.get("filter_height", 1), options.get("filter_width", 1))
        strides = (options.get("stride_h", 1), options.get("stride_w", 1))
        return _active(pool(inputs[0], window, strides, _PADDING[options.get("padding", 0)]), operator)

    return run


def _mean(inputs: Sequence[Any], operator: Operator, _shape: tuple[int, ...]) -> Any:
    axes = [int(axis) for axis in np.ravel(inputs[1])]
    return tf.reduce_mean(inputs[0], axes, keepdims=operator.options.get("keep_dims", False))


def _concatenation(inputs: Sequence[Any], operator: Operator, _shape: tuple[int, ...]) -> Any:
    return _active(tf.concat(list(inputs), operator.options.get("axis", 0)), operator)


_KINDS: Final[dict[str, Callable[[Sequence[Any], Operator, tuple[int, ...]], Any]]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": _mean,
    "CONCATENATION": _concatenation,
    "ADD": lambda inputs, operator, shape: _active(inputs[0] + inputs[1], operator),
    "MUL": lambda inputs, operator, shape: _active(inputs[0] * inputs[1], operator),
    "SUB": lambda inputs, operator, shape: _active(inputs[0] - inputs[1], operator),
    "PAD": lambda inputs, operator, shape: tf.pad(inputs[0], np.asarray(inputs[1])),
    "RESHAPE": lambda inputs, operator, shape: tf.reshape(inputs[0], (-1, *shape[1:])),
    "RELU": lambda inputs, operator, shape: tf.nn.relu(inputs[0]),
    "RELU6": lambda inputs, operator, shape: tf.nn.relu6(inputs[0]),
    "TANH": lambda inputs, operator, shape: tf.nn.tanh(inputs[0]),
    "LOGISTIC": lambda inputs, operator, shape: tf.sigmoid(inputs[0]),
    "HARD_SWISH": lambda inputs, operator, shape: inputs[0] * tf.nn.relu6(inputs[0] + 3) / 6,
    "SOFTMAX": lambda inputs, operator, shape: tf.nn.softmax(inputs[0] * operator.options.get("beta", 1.0)),
    "QUANTIZE": lambda inputs, operator, shape: inputs[0],
    "DEQUANTIZE": lambda inputs, operator, shape: inputs[0],
}
"""What each operator computes: takes the inputs, the operator, and the shape of its output for one picture."""
