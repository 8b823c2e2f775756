"""Accuracy against bytes per picture: every cut point with every codec, and the picture as JPEG, WebP and PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from PIL import Image

from evaluation.judging import Score, Tally, need_labels
from headwater.codec import Codec, decode_tensor, encode_tensor
from models.bundle import Bundle, predictions
from models.engine import IMAGE, Engine, Part
from models.errors import ModelError
from models.parts import chunks, seen, truth
from models.pictures import decode_picture, encode_jpeg, encode_png, to_input
from models.samples import Sample
from models.tasks import Prediction

QUALITIES: Final = tuple(range(10, 100, 5))
FLOAT_CODECS: Final = tuple(f"{e}{c}" for e in ("float32", "float16", "uint8") for c in ("", "+zstd"))
NATIVE_CODECS: Final = ("native", "native+zstd")
LOSSLESS: Final = ("png", "float32", "native")
"""How the names of codecs begin that give back what they were given."""
DOUBT: Final = 0.05
"""What is left of doubt in "at 95 %"."""
CHUNK_BYTES: Final = 128_000_000
"""The most that the activations of the pictures in hand may take."""

Progress = Callable[[int, int], None]
Targets = Mapping[str, str | float]
Key = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One way to send a picture: how many bytes of payload it takes, and how right the answers are then."""

    split: str
    codec: str
    bytes_mean: float
    bytes_largest: int
    scores: tuple[Score, ...]

    def score(self, task: str) -> Score:
        """Return the score of a task."""
        return next(score for score in self.scores if score.task == task)


@dataclass
class _Sum:
    sizes: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def row(self, key: Key) -> Row:
        return Row(*key, sum(self.sizes) / len(self.sizes), max(self.sizes), self.tally.scores())


@dataclass(frozen=True)
class _Picture:
    """One picture under way: its pixels, the activation where it stands, and the answers it is compared with."""

    pixels: np.ndarray
    targets: Targets
    reference: list[Prediction]


def measure(
    bundle: Bundle,
    samples: Sequence[Sample],
    cuts: Sequence[str],
    progress: Progress = lambda done, total: None,
    reference: Bundle | None = None,
) -> list[Row]:
    """Return a row for every codec at every cut point, in the order of the file, after those of the picture itself.

    The head is computed once per picture, from cut point to cut point; a tail once for each codec that may change its
    answer. What is compared with is the whole model on the uncompressed picture; no early exit is asked. With a
    `reference`, such as the model without its bottleneck, that one answers the pictures and is compared with.
    Raises: ModelError for a bundle without tasks, a reference with others, or pictures of which nothing is known.
    """
    answering = reference or bundle
    if not bundle.tasks:
        raise ModelError(f"{bundle.name} names no tasks, needed to judge answers; give a bundle with a bundle.toml")
    if (answering.tasks, answering.input) != (bundle.tasks, bundle.input):
        raise ModelError(f"{answering.name} and {bundle.name} differ in tasks or input; compare models of one task")
    need_labels(bundle, samples)
    whole = Engine(answering.model_path, outputs=answering.finals).whole()
    engine = Engine(bundle.model_path, max_cached_parts=6, outputs=bundle.finals)
    points = sorted((engine.graph.cut_point(name) for name in cuts), key=engine.graph.cut_points().index)
    largest = max([point.nbytes for point in points], default=1)
    sums: dict[Key, _Sum] = {}
    done, total = 0, len(samples) * (len(points) + 1)
    for chunk in chunks(samples, max(1, min(64, CHUNK_BYTES // largest))):
        pictures = [_begin(answering, whole, sample) for sample in chunk]
        for picture in pictures:
            for key, data in picture_codecs(picture.pixels):
                values = _input(answering, whole, decode_picture(data))
                _count(sums, key, len(data), _answer(answering, whole, values), picture)
            done += 1
            progress(done, total)
        reached = [_input(bundle, engine.whole(), picture.pixels) for picture in pictures]
        before: list[str] | None = None
        for point in points:
            step, tail = engine.part(before, [point.name]), engine.tail(point.name)
            reached, before = [step.run(value)[0] for value in reached], [point.name]
            for picture, value in zip(pictures, reached, strict=True):
                _count_codecs(sums, point.name, picture, value, bundle, tail)
                done += 1
                progress(done, total)
    return [total.row(key) for key, total in sums.items()]


def picture_codecs(pixels: np.ndarray) -> Iterator[tuple[Key, bytes]]:
    """Yield the picture in each way that split `image` could send it: PNG, JPEG, and WebP for comparison."""
    yield (IMAGE, "png"), encode_png(pixels)
    for quality in QUALITIES:
        yield (IMAGE, f"jpeg:{quality}"), encode_jpeg(pixels, quality)
    for quality in QUALITIES:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "WEBP", quality=quality)
        yield (IMAGE, f"webp:{quality}"), out.getvalue()


def _begin(bundle: Bundle, whole: Part, sample: Sample) -> _Picture:
    pixels = seen(bundle, sample)
    return _Picture(pixels, truth(bundle, sample), _answer(bundle, whole, _input(bundle, whole, pixels)))


def _input(bundle: Bundle, whole: Part, pixels: np.ndarray) -> np.ndarray:
    wanted = bundle.input
    return to_input(pixels, whole.inputs[0], wanted.low, wanted.high, wanted.colour)


def _answer(bundle: Bundle, part: Part, values: np.ndarray) -> list[Prediction]:
    return predictions(bundle, part.run(values), part.outputs)


def _count_codecs(
    sums: dict[Key, _Sum], cut: str, picture: _Picture, value: np.ndarray, bundle: Bundle, tail: Part
) -> None:
    """Encode an activation with every codec; codecs that decode to the same numbers share a run of the tail."""
    spec = tail.inputs[0]
    answers: dict[bytes, list[Prediction]] = {}
    for name in FLOAT_CODECS if value.dtype == np.float32 else NATIVE_CODECS:
        tensor = encode_tensor(value, Codec.named(name, value.dtype.name), spec.scale, spec.zero_point)
        decoded = decode_tensor(tensor, 4 * value.nbytes)
        key = decoded.tobytes()
        if key not in answers:
            answers[key] = _answer(bundle, tail, decoded)
        _count(sums, (cut, name), len(tensor.data), answers[key], picture)


def _count(sums: dict[Key, _Sum], key: Key, size: int, answer: list[Prediction], picture: _Picture) -> None:
    total = sums.setdefault(key, _Sum())
    total.sizes.append(size)
    total.tally.add(answer, picture.reference, picture.targets)


def chosen_codecs(rows: Sequence[Row], max_loss: float) -> dict[str, str]:
    """Return for each split the codec with the fewest bytes that loses at most `max_loss` points in every task.

    Of codecs with the same bytes the one that agrees more with the uncompressed answer. WebP is not what a device
    sends. A split at which every codec loses more is left out.
    """
    reference = next(row for row in rows if (row.split, row.codec) == (IMAGE, "png"))
    chosen: dict[str, str] = {}
    for row in sorted(rows, key=partial(_cost, reference=reference)):
        if not row.codec.startswith("webp") and worst_loss(row, reference) <= max_loss:
            chosen.setdefault(row.split, row.codec)
    return {split: chosen[split] for split in dict.fromkeys(row.split for row in rows) if split in chosen}


def borne_out(chosen: Mapping[str, str], rows: Sequence[Row], max_loss: float, pictures: int) -> dict[str, str]:
    """Return the choice with lossless codecs in the place of lossy ones that these pictures do not vouch for.

    They do where at most `max_loss` per cent of all answers change, at 95 %, in every task (of a regression: move by
    more than half a unit). A split at which no codec is left is left out.
    """
    lossless = chosen_codecs([row for row in rows if row.codec.startswith(LOSSLESS)], max_loss)
    vouched = {(row.split, row.codec) for row in rows if _changes_at_most(row, max_loss / 100, pictures)}
    kept = {
        split: codec if codec.startswith(LOSSLESS) or (split, codec) in vouched else lossless.get(split)
        for split, codec in chosen.items()
    }
    return {split: codec for split, codec in kept.items() if codec is not None}


def _changes_at_most(row: Row, share: float, pictures: int) -> bool:
    changed = max(round((1 - score.agreement) * pictures) for score in row.scores)
    return chance_of_at_most(changed, pictures, share) <= DOUBT


def chance_of_at_most(count: int, draws: int, share: float) -> float:
    """Return how likely at most `count` of so many draws are when each is one with this chance.

    The share is over the exact upper bound where this is at most the doubt. Source: Clopper and Pearson 1934.
    """
    if not 0 < share < 1:
        return float(share <= 0 or count >= draws)
    logs = (
        math.lgamma(draws + 1) - math.lgamma(n + 1) - math.lgamma(draws - n + 1)
        + n * math.log(share) + (draws - n) * math.log1p(-share)
        for n in range(count + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))


def _cost(row: Row, reference: Row) -> tuple[float, float, float]:
    return row.bytes_mean, -min(score.agreement for score in row.scores), worst_loss(row, reference)


def worst_loss(row: Row, reference: Row) -> float:
    """Return the largest loss over the tasks, in points."""
    return max(score.loss_points(reference.score(score.task)) for score in row.scores)
