"""What the device computes of a picture: nothing, the head up to the split, or everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from edge.splits import DEVICE, IMAGE, PictureCodec, checked_split, resolve_codec
from headwater.clock import Stopwatch
from headwater.codec import Codec, encode_tensor
from headwater.errors import BadTensor
from headwater.messages import Activation, Finished, Picture, Prediction
from models.bundle import Bundle, predictions
from models.engine import Engine, Part
from models.pictures import encode_jpeg, encode_png, fit, to_input

Body = Activation | Picture | Finished
Pixels = np.ndarray
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Head:
    """One split of one model, ready to run; it is replaced, not changed, when the split changes."""

    split: str
    codec: str
    run: Callable[[Pixels, Stopwatch], Body]
    """Takes a picture of any size and laps crop, head and encode. Raises: BadTensor for what cannot travel."""


def prepare_head(bundle: Bundle, engine: Engine, split: str, codec_name: str) -> Head:
    """Return the head for a split, its part extracted. Raises: SettingsError for a split or codec that does not fit."""
    split = checked_split(engine.graph, split)
    codec = resolve_codec(engine.graph, split, codec_name)
    if isinstance(codec, PictureCodec) or split == IMAGE:
        quality = codec.jpeg_quality if isinstance(codec, PictureCodec) else None
        return Head(split, str(codec), lambda picture, watch: _send_picture(bundle, quality, picture, watch))
    part = engine.whole() if split == DEVICE else engine.head(split)
    if codec is None:
        return Head(split, "none", lambda picture, watch: _finish_here(bundle, part, picture, watch))
    return Head(split, str(codec), lambda picture, watch: _send_activation(bundle, part, codec, picture, watch))


def _send_picture(bundle: Bundle, quality: int | None, picture: Pixels, watch: Stopwatch) -> Picture:
    small = _crop(bundle, picture, watch)
    data = encode_png(small) if quality is None else encode_jpeg(small, quality)
    watch.lap("encode")
    return Picture("png" if quality is None else "jpeg", small.shape[1], small.shape[0], memoryview(data))


def _send_activation(bundle: Bundle, part: Part, codec: Codec, picture: Pixels, watch: Stopwatch) -> Activation:
    (values,) = _compute(bundle, part, picture, watch)
    spec = part.outputs[0]
    tensor = encode_tensor(values, codec, spec.scale, spec.zero_point)
    watch.lap("encode")
    return Activation(tensor)


def _finish_here(bundle: Bundle, part: Part, picture: Pixels, watch: Stopwatch) -> Finished:
    outputs = _compute(bundle, part, picture, watch)
    found = [Prediction(**asdict(prediction)) for prediction in predictions(bundle, outputs, part.outputs)]
    if not all(np.isfinite([p.value or 0.0, p.confidence or 0.0, *p.scores]).all() for p in found):
        raise BadTensor("predictions: got NaN or infinity, expected finite numbers; look at the model")
    watch.lap("encode")
    return Finished(found)


def _compute(bundle: Bundle, part: Part, picture: Pixels, watch: Stopwatch) -> tuple[np.ndarray, ...]:
    small = _crop(bundle, picture, watch)
    wanted = bundle.input
    outputs = part.run(to_input(small, part.inputs[0], wanted.low, wanted.high, wanted.colour))
    watch.lap("head")
    return outputs


def _crop(bundle: Bundle, picture: Pixels, watch: Stopwatch) -> Pixels:
    small = fit(picture, bundle.input.width, bundle.input.height)
    watch.lap("crop")
    return small


def is_positive(bundle: Bundle, body: Body) -> bool:
    """Tell whether a finished frame shows what its bundle looks for; without a positive label every frame does."""
    wanted = {task.name: task.positive for task in bundle.tasks if task.positive is not None}
    if not isinstance(body, Finished) or not wanted:
        return True
    return any(p.label is not None and p.label == wanted.get(p.task) for p in body.predictions)
