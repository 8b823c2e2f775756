"""The labelled pictures of one part: by default the part that the model never saw, as the device would see them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from models.bundle import Bundle
from models.choices import Part
from models.crop import Crop, Cut, open_crop, read_cuts
from models.manifest import InputSpec
from models.pictures import DataError, decode_to_fit
from models.samples import Sample, read_samples

HELD_OUT_FILE: Final = "held_out.txt"


def chosen_samples(
    bundle: Bundle,
    data: Path,
    part: Part,
    limit: int | None = None,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> list[Sample]:
    """Return the pictures of one part in a fixed order, at most `limit` of them, drawn by the seed.

    Where pictures are among those that the bundle lists as held out of its training, these are the test part and the
    others of the source were trained on; else, as in the training, a folder or the content of each file decides.
    Raises: DataError when nothing is left.
    """
    samples = read_samples(data, bundle.tasks, tick)
    listed = held_out_digests(bundle) & {sample.digest for sample in samples}
    chosen = [sample for sample in samples if part in ("all", _part(sample, listed))]
    if not chosen:
        raise DataError(_nothing_left(bundle, data, part, len(samples), len(listed)))
    if limit is not None and limit < len(chosen):
        chosen = random.Random(seed).sample(chosen, limit)  # noqa: S311
    return sorted(chosen, key=lambda sample: sample.digest)


def chosen_of_all(bundle: Bundle, sources: Sequence[Path], part: Part, limit: int | None = None) -> list[Sample]:
    """Return the pictures of one part of several sources, at most `limit` of each; one found twice counts once.

    Raises: DataError when a source has none.
    """
    kept: dict[str, Sample] = {}
    for source in sources:
        for sample in chosen_samples(bundle, source, part, limit):
            kept.setdefault(sample.digest, sample)
    return list(kept.values())


def held_out_digests(bundle: Bundle) -> frozenset[str]:
    """Return the SHA-256 of the pictures that the bundle says its training never saw; empty where it says nothing."""
    path = bundle.folder / HELD_OUT_FILE
    if not path.is_file():
        return frozenset()
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def _part(sample: Sample, listed: frozenset[str]) -> str:
    if not listed:
        return sample.part
    return "test" if sample.digest in listed else "train"


def _nothing_left(bundle: Bundle, data: Path, part: Part, pictures: int, listed: int) -> str:
    said = f"{data} has no picture of the part {part} among its {pictures}"
    if not listed:
        return f"{said}; give more pictures, or choose another part with --part"
    return (
        f"{said}: the training of {bundle.name} held out {listed} of them, its test part, and the rest counts as "
        "trained on; add --part test, or give pictures of your own without these"
    )


def cuts_of(sample: Sample, crop: Crop, wanted: InputSpec) -> list[Cut]:
    """Return what a crop finds in a picture, at a network's size. Raises: DataError, which names a damaged picture."""
    with sample.opened() as content:
        return read_cuts(content, crop, wanted.width, wanted.height)


def seen(bundle: Bundle, sample: Sample) -> np.ndarray:
    """Return the picture as (height, width, 3) uint8: what the device hands to the network.

    That is the bundle's crop of it; where the crop finds nothing (no face), the whole picture.
    """
    wanted = bundle.input
    cuts = cuts_of(sample, _crop(wanted.crop), wanted)
    return np.asarray(cuts[0].pixels) if cuts else decode_to_fit(sample.read(), wanted.width, wanted.height)


@lru_cache(maxsize=4)
def _crop(name: str) -> Crop:
    return open_crop(name, max_faces=1)


def truth(bundle: Bundle, sample: Sample) -> Mapping[str, str | float]:
    """Return what is known of a picture by task: the text of a label, or a value."""
    by_name = {task.name: task for task in bundle.tasks}
    return {
        name: by_name[name].labels[int(target)] if by_name[name].kind == "classification" else float(target)
        for name, target in sample.targets.items()
        if name in by_name
    }


def chunks(samples: Sequence[Sample], size: int) -> list[Sequence[Sample]]:
    """Return the samples in pieces of at most `size`."""
    return [samples[start : start + size] for start in range(0, len(samples), size)]
