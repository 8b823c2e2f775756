"""Checks of single operators that LiteRT leaves out, and then crashes or takes all memory; found by flipping bytes.

They refuse only what no converter writes: a model whose declared shapes are merely out of date still passes, because
LiteRT works the shapes out anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from models.errors import ModelFileError
from models.structure import Operator, Tensor

SURPRISE_ELEMENTS = 2**24
"""An operator may make more numbers than this only when its output is declared about as large."""

_VALID = 1
"""Source: TensorFlow Lite's schema, `enum Padding`."""

Constant = Callable[[int], tuple[int, ...]]
"""Returns the integers that a tensor holds (in the rules: that the input at a place holds); none where it does not."""
Shape = tuple[int, ...]

_COUNTED_OUTPUTS = {"SPLIT": "num_splits", "SPLIT_V": "num_splits", "UNPACK": "num"}
_COUNTED_INPUTS = {"PACK": "values_count"}
_UNPACKED_AT_ONCE = frozenset({"DEQUANTIZE", "DENSIFY"})


def check_operator(operator: Operator, tensors: Sequence[Tensor], constant: Constant, origin: str) -> None:
    """Raise ModelFileError where an operator's options or constants contradict its tensors.

    `constant` returns the integers that a constant tensor holds, none for another tensor.
    """
    where = f"operator {operator.index} ({operator.kind})"
    for counted, ends in ((_COUNTED_OUTPUTS, operator.outputs), (_COUNTED_INPUTS, operator.inputs)):
        field = counted.get(operator.kind)
        announced = operator.options.get(field, 0) if field else len(ends)
        if announced != len(ends):
            raise ModelFileError(origin, f"{where} announces {announced} tensors and has {len(ends)}")
    least = LEAST_INPUTS.get(operator.kind, 0)
    if not operator.outputs or len(operator.inputs) < least or any(index < 0 for index in operator.inputs[:least]):
        count = f"{len(operator.inputs)} inputs and {len(operator.outputs)} outputs"
        raise ModelFileError(origin, f"{where} has {count}, needed are {least} and 1")
    if not least:
        return
    source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    if operator.kind in _UNPACKED_AT_ONCE and source.constant and source.shape != target.shape:
        raise ModelFileError(origin, f"{where} turns {list(source.shape)} into {list(target.shape)}")
    made, declared = _elements(operator, tensors, constant), math.prod(target.shape)
    if made > SURPRISE_ELEMENTS and made > 4 * declared:
        raise ModelFileError(origin, f"{where} makes {made} numbers for a tensor of {declared}")


def _elements(operator: Operator, tensors: Sequence[Tensor], constant: Constant) -> int:
    """Return about how many numbers an operator makes or works on at once; 0 where that is not known."""
    rule = _RULES.get(operator.kind)
    if rule is None:
        return 0

    def integers(place: int) -> tuple[int, ...]:
        index = operator.inputs[place] if place < len(operator.inputs) else -1
        return constant(index) if index >= 0 else ()

    shapes = [tensors[index].shape if index >= 0 else () for index in operator.inputs]
    return rule(shapes, integers, operator.options)


def _window(shapes: Sequence[Shape], _: Constant, options: Mapping[str, int]) -> int:
    """Windows over a picture: outputs times the size of a window, times the output channels of a convolution."""
    weights = shapes[1] if len(shapes) > 1 else ()
    size = weights[1:3] if weights else (options.get("filter_height", 1), options.get("filter_width", 1))
    strides = max(1, options.get("stride_h", 1)), max(1, options.get("stride_w", 1))
    lost = [max(1, side) - 1 for side in size] if options.get("padding", 0) == _VALID else [0, 0]
    sides = [max(1, -(-(n - gone) // step)) for n, gone, step in zip(shapes[0][1:3], lost, strides, strict=False)]
    places = math.prod(shapes[0][:1]) * math.prod(sides)
    return places * (weights[0] if weights else max(1, math.prod(size)))


def _padded(shapes: Sequence[Shape], integers: Constant, _: Mapping[str, int]) -> int:
    pads = integers(1)
    return math.prod(size + sum(pads[2 * axis : 2 * axis + 2]) for axis, size in enumerate(shapes[0]))


def _resized(shapes: Sequence[Shape], integers: Constant, _: Mapping[str, int]) -> int:
    size = integers(1)
    return math.prod(size) * math.prod(shapes[0][:1] + shapes[0][3:]) if size else 0


def _tiled(shapes: Sequence[Shape], integers: Constant, _: Mapping[str, int]) -> int:
    return math.prod(shapes[0]) * math.prod(integers(1))


def _second_is_shape(_: Sequence[Shape], integers: Constant, __: Mapping[str, int]) -> int:
    return math.prod(integers(1))


def _first_is_shape(_: Sequence[Shape], integers: Constant, __: Mapping[str, int]) -> int:
    return math.prod(integers(0))


def _broadcast(shapes: Sequence[Shape], _: Constant, __: Mapping[str, int]) -> int:
    rank = max(map(len, shapes))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return math.prod(max(sizes) for sizes in zip(*aligned, strict=True))


_RULES: dict[str, Callable[[Sequence[Shape], Constant, Mapping[str, int]], int]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _window),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _padded),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resized),
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"), _broadcast),
    **dict.fromkeys(("FILL", "TRANSPOSE_CONV"), _first_is_shape),
    "BROADCAST_TO": _second_is_shape,
    "TILE": _tiled,
}

_LEAST_INPUTS = {
    1: """
ABS ADD_N AVERAGE_POOL_2D BITCAST BUCKETIZE CAST CEIL COMPLEX_ABS CONCATENATION COS DENSIFY DEPTH_TO_SPACE DEQUANTIZE
ELU EXP FAKE_QUANT FLOOR GELU HARD_SWISH IMAG L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LOCAL_RESPONSE_NORMALIZATION LOG
LOGICAL_NOT LOGISTIC LOG_SOFTMAX MATRIX_DIAG MAX_POOL_2D NEG PACK QUANTIZE RANK REAL RELU RELU6 RELU_0_TO_1
RELU_N1_TO_1 RESHAPE ROUND RSQRT SHAPE SIGN SIN SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUEEZE TANH UNIQUE UNPACK WHERE
ZEROS_LIKE RANDOM_UNIFORM RANDOM_STANDARD_NORMAL
""",
    2: """
ADD ARG_MAX ARG_MIN ATAN2 BATCH_MATMUL BITWISE_XOR BROADCAST_ARGS BROADCAST_TO CONV_2D CONV_3D CUMSUM
DEPTHWISE_CONV_2D DIV EMBEDDING_LOOKUP EQUAL EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND
GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR MATRIX_SET_DIAG MAXIMUM MEAN MINIMUM MIRROR_PAD MUL
MULTINOMIAL NOT_EQUAL PAD POW PRELU REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2 RFFT2D RIGHT_SHIFT SEGMENT_SUM SPLIT SQUARED_DIFFERENCE SUB SUM
TILE TOPK_V2 TRANSPOSE
""",
    3: """
BATCH_TO_SPACE_ND CONV_3D_TRANSPOSE DYNAMIC_UPDATE_SLICE PADV2 RANGE SCATTER_ND SELECT SELECT_V2 SLICE
SPACE_TO_BATCH_ND SPLIT_V TRANSPOSE_CONV UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD
UNSORTED_SEGMENT_SUM
""",
    4: "ONE_HOT SPARSE_TO_DENSE STRIDED_SLICE",
    5: "NON_MAX_SUPPRESSION_V4",
    6: "NON_MAX_SUPPRESSION_V5",
}
LEAST_INPUTS = {kind: count for count, kinds in _LEAST_INPUTS.items() for kind in kinds.split()}
"""How many inputs an operator has at least, of those that are documented."""
