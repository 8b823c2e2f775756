"""Finish one frame: check it, decode it, run what is left of its model, read the predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from msgspec import UNSET, UnsetType

from cloud_worker.inbox import Delivery
from cloud_worker.library import Library, Model, Runnable, Spec
from cloud_worker.refusals import UnfitFrame
from headwater import messages
from headwater.clock import Stage
from headwater.codec import decode_tensor
from headwater.messages import MAX_PREDICTIONS, Activation, Box, Finished, Frame, Picture
from headwater.topics import Topics
from models import pictures
from models.bundle import Prediction, predictions
from models.errors import ModelError

PICTURE_SPLIT: Final = "image"
DEVICE_SPLIT: Final = "device"
SAME_MODEL: Final = "give device and worker the same bundle"


@dataclass(slots=True)
class Work:
    """One frame under way: what is left to run, and the worker's stages so far."""

    delivery: Delivery
    frame: Frame
    model: Model | None = None
    part: Runnable | None = None
    values: np.ndarray | None = None
    predictions: list[messages.Prediction] = field(default_factory=list)
    stages_ns: dict[Stage, int] = field(default_factory=dict)
    since_ns: int = 0

    @property
    def key(self) -> tuple[str, str, tuple[int, ...], str]:
        """What frames have in common that can be run one after the other without a change: model, split, tensor."""
        shape, dtype = (self.values.shape, self.values.dtype.name) if self.values is not None else ((), "")
        return self.frame.digest, self.frame.split, shape, dtype

    def lap(self, stage: Stage, now_ns: int) -> None:
        """End a stage: the time since the last lap belongs to it. A clock that went back counts as no time."""
        self.stages_ns[stage] = self.stages_ns.get(stage, 0) + max(0, now_ns - self.since_ns)
        self.since_ns = now_ns


class Finisher:
    """Turns deliveries into predictions with the models of one library."""

    def __init__(self, library: Library, topics: Topics, max_frame_bytes: int, now_ns: Callable[[], int]) -> None:
        self._library, self._topics = library, topics
        self._max_frame_bytes, self._now_ns = max_frame_bytes, now_ns

    def read(self, delivery: Delivery) -> Frame:
        """Return the message as a frame of the device that its topic names. Raises: WireError."""
        frame = messages.decode(Frame, delivery.message.payload, self._max_frame_bytes)
        device = self._topics.device_in(delivery.message.topic)
        if frame.id.device != device:
            raise UnfitFrame("device in the frame", frame.id.device, device, "publish under the device's own topic")
        return frame

    def prepare(self, delivery: Delivery, frame: Frame) -> Work:
        """Return the frame decoded and ready to run. Raises: WireError, ModelError."""
        work = Work(delivery, frame, since_ns=delivery.received_ns)
        work.lap("inbox", delivery.taken_ns)
        work.lap("batch", self._now_ns())
        body = frame.body
        if isinstance(body, Finished):
            work.predictions = body.predictions
        else:
            work.model = self._library.model(frame.digest, frame.bundle)
            _check_answers(work.model, len(_boxes(body)))
            if isinstance(body, Picture):
                work.part, work.values = self._picture(work.model, frame.split, body)
            else:
                work.part, work.values = self._activation(work.model, frame.split, body)
        work.lap("decode", self._now_ns())
        return work

    def run(self, work: Work) -> None:
        """Run what is left of the frame's model and read its predictions. Raises: WireError, ModelError."""
        work.lap("batch", self._now_ns())
        if work.model is not None and work.part is not None and work.values is not None:
            outputs = work.part.run(work.values)
            boxes: tuple[Box | UnsetType, ...] = _boxes(work.frame.body) or (UNSET,)
            if len(boxes) > 1 and any(len(output) != len(boxes) for output in outputs):
                raise UnfitFrame("boxes", str(len(boxes)), "1: the model's outputs have no rows", "add --max-faces 1")
            for row, box in enumerate(boxes):
                found = predictions(work.model.bundle, outputs, work.part.outputs, row)
                work.predictions += [_on_the_wire(prediction, box) for prediction in found]
            work.values = None
            work.lap("tail", self._now_ns())

    def _activation(self, model: Model, split: str, body: Activation) -> tuple[Runnable, np.ndarray]:
        if split in {PICTURE_SPLIT, DEVICE_SPLIT}:
            raise UnfitFrame("split of an activation", split, "the name of a cut point", "send a picture or a result")
        try:
            part = model.tail(split)
        except ModelError as error:
            raise UnfitFrame("split", repr(split), f"a cut point of {model.bundle.name}", str(error)) from error
        tensor, spec = body.tensor, _only_input(part)
        rows = len(_boxes(body))
        if tensor.dtype != spec.dtype or not _has_rows(tensor.shape, spec, rows):
            got = f"{tensor.dtype} {tensor.shape}"
            expected = f"{spec.dtype} {tuple(spec.shape)}{f' with {rows} rows, one for each box' if rows else ''}"
            raise UnfitFrame(f"activation at {split}", got, expected, SAME_MODEL)
        own_bytes = math.prod(spec.shape) * max(1, rows) * np.dtype(spec.dtype).itemsize
        values = decode_tensor(tensor, max(own_bytes, self._max_frame_bytes))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UnfitFrame(f"activation at {split}", "NaN or infinity", "finite numbers", "look at the device")
        return part, values

    @staticmethod
    def _picture(model: Model, split: str, body: Picture) -> tuple[Runnable, np.ndarray]:
        if split != PICTURE_SPLIT:
            raise UnfitFrame("split of a picture", repr(split), repr(PICTURE_SPLIT), "send what the split says")
        wanted, rows = model.bundle.input, max(1, len(_boxes(body)))
        height = wanted.height * rows
        expected, remedy = f"{wanted.width}x{height}", "fit the picture on the device"
        if (body.width, body.height) != (wanted.width, height):
            raise UnfitFrame("picture", f"{body.width}x{body.height}", expected, remedy)
        column = pictures.decode_picture(cast(bytes, body.data), max_pixels=wanted.width * height)
        if column.shape[:2] != (height, wanted.width):
            raise UnfitFrame("picture", f"{column.shape[1]}x{column.shape[0]}", expected, remedy)
        part = model.runner.whole()
        spec = _only_input(part)
        seen = [pictures.to_input(one, spec, wanted.low, wanted.high, wanted.colour) for one in np.split(column, rows)]
        return part, np.concatenate(seen)


def _boxes(body: Activation | Picture | Finished) -> tuple[Box, ...]:
    """Return the boxes that a body speaks of; none for the picture as a whole."""
    boxes = UNSET if isinstance(body, Finished) else body.boxes
    return () if isinstance(boxes, UnsetType) else boxes


def _check_answers(model: Model, boxes: int) -> None:
    """Refuse a frame whose answer would hold more predictions than a message does."""
    of_each = len(model.bundle.tasks) or len(model.bundle.outputs)
    if boxes * of_each > MAX_PREDICTIONS:
        most = MAX_PREDICTIONS // of_each
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
