"""What a body is to its model: checked, decoded, run, and its predictions. For frames over MQTT and for requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from msgspec import UNSET, UnsetType

from cloud_worker.library import Model, Runnable, Spec
from cloud_worker.refusals import UnfitFrame
from headwater import messages
from headwater.codec import decode_tensor
from headwater.messages import MAX_PREDICTIONS, Activation, Box, Finished, Picture
from models import pictures
from models.bundle import Prediction, predictions
from models.errors import CutError, TensorNotFound, UnsupportedModel

PICTURE_SPLIT: Final = "image"
DEVICE_SPLIT: Final = "device"
SAME_MODEL: Final = "give device and worker the same bundle"


class Ready(NamedTuple):
    """What is left of a model, and what it is to be run on: a row for each box, or one for the picture as a whole."""

    model: Model
    part: Runnable
    values: np.ndarray
    boxes: tuple[Box, ...]


def ready_activation(model: Model, split: str, body: Activation, max_bytes: int) -> Ready:
    """Return the tail behind the split and the activation for it. Raises: WireError, ModelError."""
    boxes = boxes_of(body)
    check_answers(model, len(boxes))
    if split in {PICTURE_SPLIT, DEVICE_SPLIT}:
        raise UnfitFrame("split of an activation", split, "the name of a cut point", "send a picture or a result")
    try:
        part = model.tail(split)
    except (TensorNotFound, CutError, UnsupportedModel) as error:
        raise UnfitFrame("split", repr(split), f"a cut point of {model.bundle.name}", str(error)) from error
    tensor, spec, rows = body.tensor, _only_input(part), len(boxes)
    if tensor.dtype != spec.dtype or not _has_rows(tensor.shape, spec, rows):
        got = f"{tensor.dtype} {tensor.shape}"
        expected = f"{spec.dtype} {tuple(spec.shape)}{f' with {rows} rows, one for each box' if rows else ''}"
        raise UnfitFrame(f"activation at {split}", got, expected, SAME_MODEL)
    own_bytes = math.prod(spec.shape) * max(1, rows) * np.dtype(spec.dtype).itemsize
    values = decode_tensor(tensor, max(own_bytes, max_bytes))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnfitFrame(f"activation at {split}", "NaN or infinity", "finite numbers", "look at the device")
    return Ready(model, part, values, boxes)


def ready_picture(model: Model, split: str, body: Picture) -> Ready:
    """Return the whole model and its input from a picture of exactly its size. Raises: WireError, ModelError."""
    boxes = boxes_of(body)
    check_answers(model, len(boxes))
    if split != PICTURE_SPLIT:
        raise UnfitFrame("split of a picture", repr(split), repr(PICTURE_SPLIT), "send what the split says")
    wanted, rows = model.bundle.input, max(1, len(boxes))
    height = wanted.height * rows
    expected, remedy = f"{wanted.width}x{height}", "fit the picture on the device"
    if (body.width, body.height) != (wanted.width, height):
        raise UnfitFrame("picture", f"{body.width}x{body.height}", expected, remedy)
    data, announced = cast(bytes, body.data), (body.format.upper(),)
    column = pictures.decode_picture(data, max_pixels=wanted.width * height, formats=announced)
    if column.shape[:2] != (height, wanted.width):
        raise UnfitFrame("picture", f"{column.shape[1]}x{column.shape[0]}", expected, remedy)
    return ready_pixels(model, np.split(column, rows), boxes)


def ready_pixels(model: Model, rows: Sequence[np.ndarray], boxes: tuple[Box, ...]) -> Ready:
    """Return the whole model and its input from pictures of its size, one for each box or one without any."""
    wanted, part = model.bundle.input, model.runner.whole()
    spec = _only_input(part)
    seen = [pictures.to_input(row, spec, wanted.low, wanted.high, wanted.colour) for row in rows]
    return Ready(model, part, np.concatenate(seen), boxes)


def answers(ready: Ready) -> list[messages.Prediction]:
    """Return what the model says, of all tasks of the first box, then of the next. Raises: WireError, ModelError."""
    return _said(ready, ready.part.run(ready.values))


def answers_at_once(all_ready: Sequence[Ready]) -> list[list[messages.Prediction]]:
    """Return what one part says of each of these, from one run over the rows of all. Raises: WireError, ModelError."""
    outputs = all_ready[0].part.run(np.concatenate([ready.values for ready in all_ready]))
    ends = np.cumsum([len(ready.values) for ready in all_ready])[:-1]
    each = zip(*(np.split(output, ends) for output in outputs), strict=True)
    return [_said(ready, rows) for ready, rows in zip(all_ready, each, strict=True)]


def _said(ready: Ready, outputs: Sequence[np.ndarray]) -> list[messages.Prediction]:
    boxes: tuple[Box | UnsetType, ...] = ready.boxes or (UNSET,)
    if len(boxes) > 1 and any(len(output) != len(boxes) for output in outputs):
        raise UnfitFrame("boxes", str(len(boxes)), "1: the model's outputs have no rows", "add --max-faces 1")
    return [
        _on_the_wire(prediction, box)
        for row, box in enumerate(boxes)
        for prediction in predictions(ready.model.bundle, outputs, ready.part.outputs, row)
    ]


def boxes_of(body: Activation | Picture | Finished) -> tuple[Box, ...]:
    """Return the boxes that a body speaks of; none for the picture as a whole."""
    boxes = UNSET if isinstance(body, Finished) else body.boxes
    return () if isinstance(boxes, UnsetType) else boxes


def most_boxes(model: Model) -> int:
    """Return of how many boxes one answer can speak."""
    return MAX_PREDICTIONS // (len(model.bundle.tasks) or len(model.bundle.outputs))


def check_answers(model: Model, boxes: int) -> None:
    """Refuse a body whose answer would hold more predictions than a message does."""
    most = most_boxes(model)
    if boxes > most:
        of_each = len(model.bundle.tasks) or len(model.bundle.outputs)
        raise UnfitFrame("boxes", str(boxes), f"{most} at most, with {of_each} predictions each", "lower --max-faces")


def _only_input(part: Runnable) -> Spec:
    if len(part.inputs) != 1:
        raise UnfitFrame("model", f"{len(part.inputs)} inputs", "one input", "cut it where one tensor passes")
    return part.inputs[0]


def _has_rows(shape: tuple[int, ...], spec: Spec, rows: int) -> bool:
    """Tell whether a shape is that of so many pictures, 0 for one without a box; open sizes may be any."""
    if rows == 0 and shape == tuple(spec.shape):
        return True
    sizes = spec.shape_signature
    fits = all(o in (-1, n) for n, o in zip(shape[1:], sizes[1:], strict=False))
    return len(shape) == len(sizes) and spec.shape[:1] == (1,) and shape[0] == max(1, rows) and fits


def _on_the_wire(found: Prediction, box: Box | UnsetType) -> messages.Prediction:
    """Return a model's prediction as it travels. Raises: UnfitFrame when it is no number."""
    if not all(map(math.isfinite, (found.value or 0.0, found.confidence or 0.0, *found.scores))):
        raise UnfitFrame(f"prediction of {found.task}", "NaN or infinity", "finite numbers", "look at the model")
    return messages.Prediction(found.task, found.label, found.value, found.confidence, found.scores, box)
