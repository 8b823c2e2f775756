"""What the device computes of a picture: nothing, the head up to the split, or everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from edge.splits import IMAGE, PictureCodec, checked_split, codec_fits, resolve_codec
from headwater.clock import Stopwatch
from headwater.codec import LOSSLESS, Codec, encode_tensor
from headwater.errors import BadTensor
from headwater.messages import Activation, Finished, Picture, Prediction
from models.bundle import Bundle, predictions
from models.bundle import Prediction as Predicted
from models.engine import Engine
from models.exits import ExitRule
from models.graph import Graph
from models.pictures import encode_jpeg, encode_png, fit, to_input
from models.stages import Staged, StagedHead, rules_of

Body = Activation | Picture | Finished


@dataclass(frozen=True)
class Hopeless:
    """What becomes of a picture that an exit gives up, because no task is sure enough to go on with it."""

    exit: str


Pixels = np.ndarray
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Head:
    """One split of one model, ready to run; it is replaced, not changed, when the split changes."""

    split: str
    codec: str
    run: Callable[[Pixels, Stopwatch], Body | Hopeless]
    """Takes a picture of any size and laps crop, head and encode. Raises: BadTensor for what cannot travel."""
    exits: tuple[str, ...] = ()
    """The early exits that are asked on the way, in order."""


def prepare_head(
    bundle: Bundle, engine: Engine, split: str, codec_name: str, rules: Mapping[str, ExitRule] | None = None
) -> Head:
    """Return the head for a split, its stages extracted, the exits before it asked by these rules or the bundle's own.

    Raises: SettingsError for a split or codec that does not fit.
    """
    split = checked_split(engine.graph, split)
    codec = resolve_codec(engine.graph, split, measured_codec(bundle, engine.graph, split, codec_name))
    if isinstance(codec, PictureCodec) or split == IMAGE:
        quality = codec.jpeg_quality if isinstance(codec, PictureCodec) else None
        return Head(split, str(codec), partial(_send_picture, bundle, quality))
    staged = StagedHead(engine, bundle, split, rules_of(bundle) if rules is None else rules)
    if codec is None:
        return Head(split, "none", partial(_finish_here, bundle, staged), staged.exits)
    return Head(split, str(codec), partial(_send_activation, bundle, staged, codec), staged.exits)


def measured_codec(bundle: Bundle, graph: Graph, split: str, codec_name: str) -> str:
    """Return what `auto` stands for at a split: the bundle's measured codec, where it has one that fits."""
    wanted = bundle.codecs.get(split) if codec_name == LOSSLESS else None
    return wanted if wanted and codec_fits(graph, split, wanted) else codec_name


def _send_picture(bundle: Bundle, quality: int | None, picture: Pixels, watch: Stopwatch) -> Picture:
    small = _crop(bundle, picture, watch)
    data = encode_png(small) if quality is None else encode_jpeg(small, quality)
    watch.lap("encode")
    return Picture("png" if quality is None else "jpeg", small.shape[1], small.shape[0], memoryview(data))


def _send_activation(
    bundle: Bundle, staged: StagedHead, codec: Codec, picture: Pixels, watch: Stopwatch
) -> Body | Hopeless:
    ended = _compute(bundle, staged, picture, watch)
    if ended.exit is not None:
        return _left(ended, watch)
    spec = staged.outputs[-1]
    tensor = encode_tensor(ended.values[0], codec, spec.scale, spec.zero_point)
    watch.lap("encode")
    return Activation(tensor)


def _finish_here(bundle: Bundle, staged: StagedHead, picture: Pixels, watch: Stopwatch) -> Body | Hopeless:
    ended = _compute(bundle, staged, picture, watch)
    if ended.exit is not None:
        return _left(ended, watch)
    found = _checked(predictions(bundle, ended.values, staged.outputs))
    watch.lap("encode")
    return Finished(found)


def _left(ended: Staged, watch: Stopwatch) -> Finished | Hopeless:
    """Return the body of a frame that goes no further than an exit."""
    found = None if ended.is_hopeless else _checked(ended.predictions)
    watch.lap("encode")
    return Hopeless(str(ended.exit)) if found is None else Finished(found, ended.exit)


def _checked(found: list[Predicted]) -> list[Prediction]:
    """Return predictions as they travel. Raises: BadTensor for numbers that are none."""
    out = [Prediction(**asdict(prediction)) for prediction in found]
    if not all(np.isfinite([p.value or 0.0, p.confidence or 0.0, *p.scores]).all() for p in out):
        raise BadTensor("predictions: got NaN or infinity, expected finite numbers; look at the model")
    return out


def _compute(bundle: Bundle, staged: StagedHead, picture: Pixels, watch: Stopwatch) -> Staged:
    small = _crop(bundle, picture, watch)
    wanted = bundle.input
    ended = staged.run(to_input(small, staged.inputs[0], wanted.low, wanted.high, wanted.colour))
    watch.lap("head")
    return ended


def _crop(bundle: Bundle, picture: Pixels, watch: Stopwatch) -> Pixels:
    small = fit(picture, bundle.input.width, bundle.input.height)
    watch.lap("crop")
    return small


def exit_of(body: Body) -> str | None:
    """Return the exit at which a frame was finished; None: not at one."""
    return body.exit if isinstance(body, Finished) else None


def is_positive(bundle: Bundle, body: Body) -> bool:
    """Tell whether a finished frame shows what its bundle looks for; without a positive label every frame does."""
    wanted = {task.name: task.positive for task in bundle.tasks if task.positive is not None}
    if not isinstance(body, Finished) or not wanted:
        return True
    return any(p.label is not None and p.label == wanted.get(p.task) for p in body.predictions)
