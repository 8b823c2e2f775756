"""What the operators of .tflite files compute, one small function for each kind: values in, real numbers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.structure import Operator
from models.tensorflow_engine.values import Value

Shape = tuple[int, ...]
Options = Mapping[str, Any]
Inputs = Sequence[Any]
"""The Value of each input; None for one that is left out."""
Compute = Callable[[Inputs, Operator, Shape], Any]
"""Takes the inputs, the operator, and the shape of its output for one picture."""

ACTIVATIONS: Final[dict[int, Callable[[Any], Any]]] = {
    0: lambda x: x, 1: tf.nn.relu, 2: lambda x: tf.clip_by_value(x, -1.0, 1.0), 3: tf.nn.relu6, 4: tf.nn.tanh,
}  # fmt: skip
"""Source: the TensorFlow Lite schema, ActivationFunctionType."""
_PADDINGS: Final = ("SAME", "VALID")
"""Source: the TensorFlow Lite schema, Padding."""


def integers(value: Value) -> list[int]:
    """Return what a constant shape, permutation or list of axes holds."""
    return [int(number) for number in np.ravel(value.steps)]


def _active(values: Any, operator: Operator) -> Any:
    return ACTIVATIONS[operator.options.get("fused_activation_function", 0)](values)


def _kept(weights: np.ndarray) -> Any:
    """Return weights as a tensor on the device that a traced function refers to, rather than a copy in its graph."""
    with tf.init_scope():
        return tf.constant(weights)


def _weighted(sums: Any, inputs: Inputs, operator: Operator) -> Any:
    """Return the real numbers behind sums of steps times steps, with bias and activation."""
    source, weights = inputs[:2]
    if source.step is not None or weights.step is not None:
        sums *= source.unit * weights.unit
    if len(inputs) > 2 and inputs[2] is not None:
        sums += inputs[2].real
    return _active(sums, operator)


def _padding(options: Options) -> str:
    return _PADDINGS[options.get("padding", 0)]


def _strides(options: Options) -> tuple[int, int]:
    return options.get("stride_h", 1), options.get("stride_w", 1)


def _dilations(options: Options) -> tuple[int, int]:
    return options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)


def _convolution(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    options = operator.options
    kernel = _kept(np.transpose(inputs[1].steps, (1, 2, 3, 0)))
    sums = tf.nn.conv2d(
        inputs[0].steps, kernel, _strides(options), _padding(options), dilations=_dilations(options)
    )  # fmt: skip
    return _weighted(sums, inputs, operator)


def _depthwise(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    options, steps = operator.options, inputs[1].steps
    kernel = _kept(np.reshape(steps, (*steps.shape[1:3], inputs[0].steps.shape[-1], -1)))
    sums = tf.nn.depthwise_conv2d(
        inputs[0].steps, kernel, (1, *_strides(options), 1), _padding(options), dilations=_dilations(options)
    )
    return _weighted(sums, inputs, operator)


def _dense(inputs: Inputs, operator: Operator, shape: Shape) -> Any:
    weights = _kept(np.transpose(inputs[1].steps))
    sums = tf.matmul(tf.reshape(inputs[0].steps, (-1, weights.shape[0])), weights)
    return _shaped(_weighted(sums, inputs, operator), shape)


def _shaped(values: Any, shape: Shape) -> Any:
    """Return the values in the shape that one picture has, for as many as there are."""
    return tf.reshape(values, (-1, *shape[1:]))


def _pool(pool: Callable[..., Any]) -> Compute:
    def run(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
        options = operator.options
        window = options.get("filter_height", 1), options.get("filter_width", 1)
        return _active(pool(inputs[0].real, window, _strides(options), _padding(options)), operator)

    return run


def _reduced(reduce: Callable[..., Any]) -> Compute:
    def run(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
        return reduce(inputs[0].real, integers(inputs[1]), keepdims=operator.options.get("keep_dims", False))

    return run


def _both(compute: Callable[[Any, Any], Any]) -> Compute:
    """Return what computes number by number from two; of a lower rank, an activation keeps its rows in front."""

    def run(inputs: Inputs, operator: Operator, shape: Shape) -> Any:
        left, right = (_of_rank(value.real, len(shape)) for value in inputs)
        return _active(compute(left, right), operator)

    return run


def _of_rank(values: Any, rank: int) -> Any:
    missing = rank - len(values.shape)
    if isinstance(values, np.ndarray) or missing <= 0:
        return values
    return tf.reshape(values, (-1, *[1] * missing, *values.shape[1:]))


def _each(compute: Callable[[Any], Any]) -> Compute:
    return lambda inputs, operator, shape: compute(inputs[0].real)


def _concatenation(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    return tf.concat([value.real for value in inputs], operator.options.get("axis", 0))


def _padded(inputs: Inputs, _operator: Operator, _shape: Shape) -> Any:
    return tf.pad(inputs[0].real, np.reshape(integers(inputs[1]), (-1, 2)))


def _softmax(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    return tf.nn.softmax(inputs[0].real * operator.options.get("beta", 1.0))


def _leaky(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    return tf.nn.leaky_relu(inputs[0].real, operator.options.get("alpha", 0.0))


def _gelu(inputs: Inputs, operator: Operator, _shape: Shape) -> Any:
    return tf.nn.gelu(inputs[0].real, bool(operator.options.get("approximate", False)))


_SHAPED: Final[Compute] = lambda inputs, operator, shape: _shaped(inputs[0].real, shape)  # noqa: E731

KINDS: Final[dict[str, Compute]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": _reduced(tf.reduce_mean),
    "SUM": _reduced(tf.reduce_sum),
    "REDUCE_MAX": _reduced(tf.reduce_max),
    "ADD": _both(lambda left, right: left + right),
    "SUB": _both(lambda left, right: left - right),
    "MUL": _both(lambda left, right: left * right),
    "DIV": _both(lambda left, right: left / right),
    "MAXIMUM": _both(tf.maximum),
    "MINIMUM": _both(tf.minimum),
    "SQUARED_DIFFERENCE": _both(tf.math.squared_difference),
    "PRELU": _both(lambda values, slopes: tf.nn.relu(values) + slopes * tf.minimum(values, 0.0)),
    "RELU": _each(tf.nn.relu),
    "RELU6": _each(tf.nn.relu6),
    "ELU": _each(tf.nn.elu),
    "GELU": _gelu,
    "LEAKY_RELU": _leaky,
    "HARD_SWISH": _each(lambda values: values * tf.nn.relu6(values + 3) / 6),
    "LOGISTIC": _each(tf.sigmoid),
    "TANH": _each(tf.nn.tanh),
    "SQRT": _each(tf.sqrt),
    "RSQRT": _each(tf.math.rsqrt),
    "SOFTMAX": _softmax,
    "CONCATENATION": _concatenation,
    "PAD": _padded,
    "TRANSPOSE": lambda inputs, operator, shape: tf.transpose(inputs[0].real, integers(inputs[1])),
    "RESHAPE": _SHAPED,
    "SQUEEZE": _SHAPED,
    "EXPAND_DIMS": _SHAPED,
    "QUANTIZE": _each(lambda values: values),
    "DEQUANTIZE": _each(lambda values: values),
}
"""Every kind of operator that is known here. The output is rounded to its steps by who asks."""
