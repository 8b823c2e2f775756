"""What an activation gives away: pictures rebuilt from it, how close they come, and what the model sees in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.judging import Score, Tally, need_labels
from evaluation.rebuilding import Recipe, train_decoder
from models.bundle import Bundle, predictions
from models.engine import Engine, Part
from models.errors import ModelError
from models.evidence import Leak
from models.parts import seen, truth
from models.pictures import fit, to_input
from models.samples import Sample
from models.tasks import Prediction, dequantise
from models.training.augment import crop

KNOWS_NOTHING: Final = "mean picture"
"""The row of a rebuilder that sees no activation: the mean of the training pictures for every one."""
MAX_ACTIVATION_BYTES: Final = 1_000_000_000
"""Activations above that are computed anew for every batch instead of being kept."""
MOST_DB: Final = 100.0
"""What stands for the infinite PSNR of a picture that is rebuilt without any error."""
_BATCH: Final = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """What one cut point leaks: mean similarity of rebuilt and original pictures, and the model's answers to them."""

    cut: str
    ssim: float
    psnr_db: float
    scores: tuple[Score, ...]
    pictures: int
    rebuilt: np.ndarray
    """The first few rebuilt pictures, (n, height, width, 3) uint8."""

    def leak(self) -> Leak:
        """Return what a bundle keeps of this; of several tasks the one that agrees most."""
        agreement = max((score.agreement for score in self.scores), default=0.0)
        return Leak(self.cut, round(self.ssim, 4), round(self.psnr_db, 2), round(agreement, 4), self.pictures)


class Activations:
    """The activations of some pictures at one cut point, kept in the model's own type or computed when asked for."""

    def __init__(self, bundle: Bundle, head: Part, pixels: np.ndarray) -> None:
        self._bundle, self._head, self._pixels = bundle, head, pixels
        self._spec = head.outputs[0]
        whole = len(pixels) * math.prod(self._spec.shape) * np.dtype(self._spec.dtype).itemsize
        self._kept = self._compute(np.arange(len(pixels))) if whole <= MAX_ACTIVATION_BYTES else None

    def __len__(self) -> int:
        return len(self._pixels)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return activations as real numbers, and their pictures."""
        values = self._compute(rows) if self._kept is None else self._kept[rows]
        return dequantise(values, self._spec).reshape(values.shape), self._pixels[rows]

    def _compute(self, rows: np.ndarray) -> np.ndarray:
        wanted, spec = self._bundle.input, self._head.inputs[0]
        inputs = (to_input(self._pixels[row], spec, wanted.low, wanted.high, wanted.colour) for row in rows)
        return np.concatenate([self._head.run(values)[0] for values in inputs])


def measure(
    bundle: Bundle,
    train: Sequence[Sample],
    judged: Sequence[Sample],
    cuts: Sequence[str],
    recipe: Recipe,
    progress: Progress = lambda done, total: None,
    *,
    copies: int = 0,
    shown: int = 8,
) -> tuple[np.ndarray, list[Row]]:
    """Return the first few original pictures, and a row per cut point after that of a rebuilder that knows nothing.

    A decoder is trained per cut point on `train` and `copies` other crops of each, and judged on `judged`, of which it
    has seen none.
    Raises: ModelError when a picture is in both, or nothing is known of those judged.
    """
    both = {sample.digest for sample in train} & {sample.digest for sample in judged}
    if both:
        raise ModelError(f"{len(both)} pictures are trained on and judged, expected none; choose other parts")
    if bundle.tasks:
        need_labels(bundle, judged)
    engine = Engine(bundle.model_path, max_cached_parts=3, outputs=bundle.finals)
    known = _with_copies(np.stack([seen(bundle, sample) for sample in train]), copies, recipe.seed)
    unseen = np.stack([seen(bundle, sample) for sample in judged])
    done, total = 0, len(cuts) * (len(known) * recipe.epochs + len(unseen))

    def tick(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    mean = np.rint(known.mean(axis=0)).astype(np.uint8)
    blank = np.broadcast_to(mean, unseen.shape)
    rows = [_judge(bundle, engine, judged, unseen, KNOWS_NOTHING, blank, shown)]
    for cut in cuts:
        head = engine.head(cut)
        rebuild = train_decoder(Activations(bundle, head, known), recipe, tick)
        target = Activations(bundle, head, unseen)
        places = [np.arange(start, min(start + _BATCH, len(unseen))) for start in range(0, len(unseen), _BATCH)]
        rebuilt = np.concatenate([rebuild(target.batch(rows)[0]) for rows in places])
        tick(len(unseen))
        rows.append(_judge(bundle, engine, judged, unseen, cut, rebuilt, shown))
    return unseen[:shown], rows


def _with_copies(pictures: np.ndarray, copies: int, seed: int) -> np.ndarray:
    """Return (n, H, W, 3) pictures and, behind them, `copies` random crops of each, half of them mirrored."""
    rng, (height, width) = np.random.default_rng(seed), pictures.shape[1:3]
    cut = (crop(picture, max(height, width), 0.6, rng) for _ in range(copies) for picture in pictures)
    changed = [fit(part[:, :: int(rng.choice([-1, 1]))], width, height) for part in cut]
    return np.concatenate([pictures, *(part[None] for part in changed)])


def _judge(
    bundle: Bundle,
    engine: Engine,
    samples: Sequence[Sample],
    originals: np.ndarray,
    cut: str,
    rebuilt: np.ndarray,
    shown: int,
) -> Row:
    """Compare rebuilt pictures with the originals, by pixels and by what the whole model says of them."""
    whole, tally = engine.whole(), Tally()
    for sample, original, picture in zip(samples, originals, rebuilt, strict=True):
        answers = [_answer(bundle, whole, pixels) for pixels in (picture, original)]
        tally.add(answers[0], answers[1], truth(bundle, sample))
    likeness = [ssim(a, b) for a, b in zip(originals, rebuilt, strict=True)]
    noise = [psnr_db(a, b) for a, b in zip(originals, rebuilt, strict=True)]
    scores = tally.scores() if bundle.tasks else ()
    return Row(cut, float(np.mean(likeness)), float(np.mean(noise)), scores, len(samples), rebuilt[:shown])


def _answer(bundle: Bundle, whole: Part, pixels: np.ndarray) -> list[Prediction]:
    wanted = bundle.input
    values = to_input(np.ascontiguousarray(pixels), whole.inputs[0], wanted.low, wanted.high, wanted.colour)
    return predictions(bundle, whole.run(values), whole.outputs)


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity of two (H, W, 3) uint8 pictures: 1.0 is the same picture."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(one, other, channel_axis=2, data_range=255))  # type: ignore[no-untyped-call]


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal to noise ratio of two uint8 pictures, at most 100 dB."""
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(one, other):
        return MOST_DB
    found = peak_signal_noise_ratio(one, other, data_range=255)  # type: ignore[no-untyped-call]
    return min(MOST_DB, float(found))
