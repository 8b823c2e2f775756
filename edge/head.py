"""What the device computes of a picture: nothing, the head up to the split, or everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from msgspec import UNSET, UnsetType

from edge.crop import as_column, as_rows, boxes_of
from edge.splits import IMAGE, PictureCodec, checked_split, codec_fits, resolve_codec
from headwater.clock import Stopwatch
from headwater.codec import LOSSLESS, Codec, encode_tensor
from headwater.errors import BadTensor, SettingsError
from headwater.messages import Activation, Box, Finished, Picture, Prediction, scores_to_send
from models.bundle import Bundle, predictions
from models.bundle import Prediction as Predicted
from models.crop import Crop, Cut, Whole
from models.engine import Engine
from models.exits import ExitRule
from models.graph import Graph
from models.pictures import encode_jpeg, encode_png
from models.stages import Staged, StagedHead, rules_of

Body = Activation | Picture | Finished


@dataclass(frozen=True)
class Hopeless:
    """What becomes of a picture that an exit gives up, because no task is sure enough to go on with it."""

    exit: str


@dataclass(frozen=True)
class Faceless:
    """What becomes of a picture in which the crop finds no face."""


Dropped = Hopeless | Faceless
Pixels = np.ndarray
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Head:
    """One split of one model, ready to run; it is replaced, not changed, when the split changes."""

    split: str
    codec: str
    run: Callable[[Pixels, Stopwatch], Body | Dropped]
    """Takes a picture of any size and laps crop, head and encode. Raises: BadTensor for what cannot travel."""
    exits: tuple[str, ...] = ()
    """The early exits that are asked on the way, in order."""
    unsure: Callable[[], Finished | None] = lambda: None
    """Returns what the deepest exit said of the picture that ran last, though no exit was sure of it."""


def prepare_head(
    bundle: Bundle,
    engine: Engine,
    split: str,
    codec_name: str,
    rules: Mapping[str, ExitRule] | None = None,
    crop: Crop | None = None,
) -> Head:
    """Return the head for a split, its stages extracted, the exits before it asked by these rules or the bundle's own.

    Without a crop the network sees the whole picture. Raises: SettingsError for a split, codec or crop that does not
    fit.
    """
    split = checked_split(engine.graph, split)
    view = _View(bundle, crop or Whole())
    codec = resolve_codec(engine.graph, split, measured_codec(bundle, engine.graph, split, codec_name))
    if isinstance(codec, PictureCodec) or split == IMAGE:
        quality = codec.jpeg_quality if isinstance(codec, PictureCodec) else None
        return Head(split, str(codec), partial(_send_picture, view, quality))
    asked = {name: rule for name, rule in (rules_of(bundle) if rules is None else rules).items() if rule.can_end}
    staged = StagedHead(engine, bundle, split, asked)
    if view.crop.most > 1 and not staged.takes_rows:
        raise SettingsError(f"max-faces: {bundle.name} takes one picture at a time up to {split}; add --max-faces 1")
    if codec is None:
        return Head(split, "none", partial(_finish_here, view, staged), staged.exits)
    sending = _Sending(view, staged, codec)
    return Head(split, str(codec), sending.run, staged.exits, sending.unsure)


def measured_codec(bundle: Bundle, graph: Graph, split: str, codec_name: str) -> str:
    """Return what `auto` stands for at a split: the bundle's measured codec, where it has one that fits."""
    wanted = bundle.codecs.get(split) if codec_name == LOSSLESS else None
    return wanted if wanted and codec_fits(graph, split, wanted) else codec_name


@dataclass(frozen=True)
class _View:
    """What a bundle's network sees of a picture."""

    bundle: Bundle
    crop: Crop

    def cuts(self, picture: Pixels, watch: Stopwatch) -> list[Cut]:
        found = self.crop.cut(picture, self.bundle.input.width, self.bundle.input.height)
        watch.lap("crop")
        return found

    def compute(self, cuts: Sequence[Cut], staged: StagedHead, watch: Stopwatch) -> Staged:
        ended = staged.run(as_rows(cuts, staged.inputs[0], self.bundle))
        watch.lap("head")
        return ended


def _send_picture(view: _View, quality: int | None, picture: Pixels, watch: Stopwatch) -> Picture | Dropped:
    cuts = view.cuts(picture, watch)
    if not cuts:
        return Faceless()
    column = as_column(cuts)
    data = encode_png(column) if quality is None else encode_jpeg(column, quality)
    watch.lap("encode")
    kind: Literal["png", "jpeg"] = "png" if quality is None else "jpeg"
    return Picture(kind, column.shape[1], column.shape[0], memoryview(data), boxes_of(cuts) or UNSET)


class _Sending:
    """Computes pictures up to the split, for the rest to be computed elsewhere; for one thread."""

    def __init__(self, view: _View, staged: StagedHead, codec: Codec) -> None:
        self._view, self._staged, self._codec = view, staged, codec
        self._cuts: Sequence[Cut] = ()

    def run(self, picture: Pixels, watch: Stopwatch) -> Body | Dropped:
        """Return what becomes of a picture."""
        cuts = self._cuts = self._view.cuts(picture, watch)
        if not cuts:
            return Faceless()
        ended = self._view.compute(cuts, self._staged, watch)
        if ended.exit is not None:
            return _left(ended, cuts, watch)
        spec = self._staged.outputs[-1]
        tensor = encode_tensor(ended.values[0], self._codec, spec.scale, spec.zero_point)
        watch.lap("encode")
        return Activation(tensor, boxes_of(cuts) or UNSET)

    def unsure(self) -> Finished | None:
        """Return what the deepest exit said of the last picture; None where there is no exit. Raises: BadTensor."""
        if self._staged.unsure is None:
            return None
        name, found = self._staged.unsure
        return Finished(_as_travelling(found, self._cuts), name)


def _finish_here(view: _View, staged: StagedHead, picture: Pixels, watch: Stopwatch) -> Body | Dropped:
    cuts = view.cuts(picture, watch)
    if not cuts:
        return Faceless()
    ended = view.compute(cuts, staged, watch)
    if ended.exit is not None:
        return _left(ended, cuts, watch)
    rows = range(len(cuts))
    found = [p for row in rows for p in predictions(view.bundle, ended.values, staged.outputs, row)]
    finished = Finished(_as_travelling(found, cuts))
    watch.lap("encode")
    return finished


def _left(ended: Staged, cuts: Sequence[Cut], watch: Stopwatch) -> Finished | Hopeless:
    """Return the body of a frame that goes no further than an exit."""
    found = None if ended.is_hopeless else _as_travelling(ended.predictions, cuts)
    watch.lap("encode")
    return Hopeless(str(ended.exit)) if found is None else Finished(found, ended.exit)


def _as_travelling(found: list[Predicted], cuts: Sequence[Cut]) -> list[Prediction]:
    """Return predictions as they travel, each with its cut's box. Raises: BadTensor for numbers that are none."""
    of_each = len(found) // len(cuts)
    boxes: list[Box | UnsetType] = [box for box in boxes_of(cuts) for _ in range(of_each)] or [UNSET] * len(found)
    if not all(np.isfinite([p.value or 0.0, p.confidence or 0.0, *p.scores]).all() for p in found):
        raise BadTensor("predictions: got NaN or infinity, expected finite numbers; look at the model")
    return [
        Prediction(p.task, p.label, p.value, p.confidence, scores_to_send(p.label, p.scores), box)
        for p, box in zip(found, boxes, strict=True)
    ]


def exit_of(body: Body | Dropped) -> str | None:
    """Return the exit at which a frame ended; None: not at one."""
    return body.exit if isinstance(body, Finished | Hopeless) else None


def is_positive(bundle: Bundle, body: Body) -> bool:
    """Tell whether a finished frame shows what its bundle looks for; without a positive label every frame does."""
    wanted = {task.name: task.positive for task in bundle.tasks if task.positive is not None}
    if not isinstance(body, Finished) or not wanted:
        return True
    return any(p.label is not None and p.label == wanted.get(p.task) for p in body.predictions)
