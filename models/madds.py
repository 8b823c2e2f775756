"""How many multiply-adds an operator costs, from the shapes in the file and for one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.structure import Operator, Tensor


def madds(operator: Operator, tensors: Sequence[Tensor]) -> int:
    """Return the multiply-adds of one operator; 0 for those that multiply no matrices.

    Source: the usual count, one per weight and place where it is applied (Howard et al. 2017, MobileNets, section 3.1).
    """
    shapes = [tensors[index].shape if index >= 0 else () for index in operator.inputs]
    out = math.prod(tensors[operator.outputs[0]].shape) if operator.outputs else 0
    if len(shapes) < 2 or len(shapes[1]) < 2:
        return 0
    first, weights = shapes[0], shapes[1]
    picture = shapes[2] if len(shapes) > 2 else ()
    by_kind = {
        "CONV_2D": out * math.prod(weights[1:]),  # weights (out, height, width, in)
        "FULLY_CONNECTED": out * math.prod(weights[1:]),  # weights (out, in)
        "DEPTHWISE_CONV_2D": out * math.prod(weights[1:3]),  # weights (1, height, width, channels)
        "CONV_3D": out * math.prod(weights[:-1]),  # weights (depth, height, width, in, out)
        "TRANSPOSE_CONV": math.prod(picture) * math.prod(weights[:-1]),  # weights (out, height, width, in)
        "CONV_3D_TRANSPOSE": math.prod(picture) * math.prod(weights[:-1]),  # weights (depth, height, width, out, in)
        "BATCH_MATMUL": out * (first[-2:] or (0,))[0 if operator.options.get("adj_x") else -1],
    }
    return by_kind.get(operator.kind, 0)
