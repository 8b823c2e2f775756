"""Operators whose options contradict their tensors are refused, and those that only look large are not."""

from __future__ import annotations

import math

import pytest

from models.errors import ModelFileError
from models.semantics import check_operator
from models.structure import Operator, Tensor


def check(
    kind: str, *shapes: tuple[int, ...], constants: dict[int, tuple[int, ...]] | None = None, **options: int
) -> None:
    """Check an operator whose tensors have these shapes, the output last."""
    tensors = [
        Tensor(place, f"t{place}", shape, shape, "float32", 4 * math.prod(shape), 0.0, 0, place > 0)
        for place, shape in enumerate(shapes)
    ]
    last = len(shapes) - 1
    operator = Operator(0, kind, tuple(range(last)), (last,), options)
    check_operator(operator, tensors, lambda index: (constants or {}).get(index, ()), "x.tflite")


def test_large_weights_of_common_layers_are_no_surprise() -> None:
    """VGG16's first dense layer, an embedding, a mean over a large picture, and pooling a whole map as DeepLab does."""
    check("FULLY_CONNECTED", (1, 25_088), (4096, 25_088), (4096,), (1, 4096))
    check("GATHER", (32_000, 768), (1, 128), (1, 128, 768))
    check("MEAN", (1, 2400, 2400, 3), (2,), (1, 3))
    pool = {"filter_height": 65, "filter_width": 65, "stride_h": 1, "stride_w": 1, "padding": 1}
    check("AVERAGE_POOL_2D", (1, 65, 65, 2048), (1, 1, 1, 2048), **pool)
    check("CONV_2D", (1, 224, 224, 3), (64, 3, 3, 3), (64,), (1, 224, 224, 64), stride_h=1, stride_w=1)


@pytest.mark.parametrize(
    ("kind", "shapes", "constants", "options"),
    [
        ("CONV_2D", ((1, 4096, 4096, 3), (64, 3, 3, 3), (64,), (1, 8, 8, 64)), {}, {"stride_h": 1, "stride_w": 1}),
        ("MAX_POOL_2D", ((1, 64, 64, 3), (1, 64, 64, 3)), {}, {"filter_height": 9999, "filter_width": 9999}),
        ("PAD", ((1, 8, 8, 3), (4, 2), (1, 8, 8, 3)), {1: (0, 0, 99_999, 0, 99_999, 0, 0, 0)}, {}),
        ("TILE", ((1, 8), (2,), (1, 8)), {1: (9999, 9999)}, {}),
        ("BROADCAST_TO", ((1, 8), (2,), (1, 8)), {1: (99_999, 99_999)}, {}),
        ("ADD", ((9999, 1), (1, 9999), (1, 8)), {}, {}),
    ],
)
def test_what_would_fill_the_memory_is_refused(
    kind: str,
    shapes: tuple[tuple[int, ...], ...],
    constants: dict[int, tuple[int, ...]],
    options: dict[str, int],
) -> None:
    """Far more numbers than its output is declared to hold."""
    with pytest.raises(ModelFileError, match=rf"operator 0 \({kind}\) makes \d+ numbers for a tensor of"):
        check(kind, *shapes, constants=constants, **options)
