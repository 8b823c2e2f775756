"""Folders of labelled pictures: reading them, finding near-duplicates, and splitting without leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.pictures import FORMATS, DataError, decode_picture, decode_to_fit, fit

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_FILE_BYTES = 100_000_000
BASE = 2  # training pictures are kept at this many times the network's input, so that crops have pixels to show
_HASH_SIDE = 8


@dataclass(frozen=True)
class Photograph:
    """One labelled picture: its file, what the network sees of it, and a larger version to crop from."""

    path: Path
    digest: str
    label: int
    seen: np.ndarray
    base: np.ndarray
    hashes: tuple[np.ndarray, np.ndarray]


def find_pictures(folder: Path, labels: Sequence[str], *, fewest: int = 2) -> list[tuple[Path, int]]:
    """Return the picture files below folder/<label> with their label's number, sorted by name.

    Raises: DataError when the folder or one of the labels' folders is missing, or holds no picture.
    """
    found = []
    for number, label in enumerate(labels):
        inside = folder / label
        if not inside.is_dir():
            raise DataError(
                f"{inside} is no folder, expected one of {' and '.join(labels)} inside {folder}; see --data"
            )
        files = sorted(p for p in inside.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if len(files) < fewest:
            raise DataError(
                f"{inside} holds {len(files)} pictures, expected {fewest} or more of {', '.join(SUFFIXES)}; add some"
            )
        found += [(file, number) for file in files]
    return found


def read_pictures(
    files: Sequence[tuple[Path, int]], size: int, tick: Callable[[], None] = lambda: None
) -> list[Photograph]:
    """Return the pictures decoded; of files with the same bytes only the first.

    Raises: DataError naming the file that is no picture, or that two labels claim.
    """
    found: dict[str, Photograph] = {}
    for path, label in files:
        photograph = _read(path, label, size)
        tick()
        twin = found.setdefault(photograph.digest, photograph)
        if twin.label != label:
            raise DataError(f"{path} and {twin.path} are the same file under two labels; remove the wrong one")
    return list(found.values())


def check_apart(trained: Sequence[Photograph], judged: Sequence[Photograph]) -> None:
    """Refuse pictures of another place that are also among those trained on. Raises: DataError naming one."""
    known = {picture.digest: picture.path for picture in trained}
    for picture in judged:
        if picture.digest in known:
            raise DataError(
                f"{picture.path} is also {known[picture.digest]}, expected pictures never trained on; remove it"
            )


def _read(path: Path, label: int, size: int) -> Photograph:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"over {MAX_FILE_BYTES} B")
        data = path.read_bytes()
        large = decode_picture(data, at_least=(2 * BASE * size, 2 * BASE * size))
        seen = decode_to_fit(data, size, size)
    except (OSError, DataError) as error:
        raise DataError(f"{path} cannot be read as a picture ({', '.join(FORMATS)}): {error}") from error
    hashes = (difference_hash(seen), difference_hash(seen[:, ::-1]))
    return Photograph(path, hashlib.sha256(data).hexdigest(), label, seen, fit(large, BASE * size, BASE * size), hashes)


def difference_hash(picture: np.ndarray) -> np.ndarray:
    """Return 128 bits saying where a small grey version grows brighter to the right and downwards."""
    side = _HASH_SIDE + 1
    grey = np.asarray(Image.fromarray(picture).convert("L").resize((side, side), Image.Resampling.BOX)).astype(int)
    right, down = grey[:-1, 1:] > grey[:-1, :-1], grey[1:, :-1] > grey[:-1, :-1]
    return np.concatenate([right.ravel(), down.ravel()])


def group_duplicates(
    pictures: Sequence[Photograph], features: np.ndarray, *, bits: int = 20, cosine: float = 0.83
) -> list[int]:
    """Return a group number for each picture; near-duplicates, also mirrored ones, share theirs.

    Two pictures belong together when at most `bits` of their 128 hash bits differ, or when the cosine between their
    (n, d) ImageNet `features` is at least `cosine`: the first finds copies, the second other crops of one scene.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    near = unit @ unit.T >= cosine
    plain = np.array([p.hashes[0] for p in pictures])
    for hashes in (plain, np.array([p.hashes[1] for p in pictures])):
        near |= (plain[:, None, :] != hashes[None, :, :]).sum(axis=2) <= bits
    groups = list(range(len(pictures)))
    for one, other in np.argwhere(near):
        first, second = groups[one], groups[other]
        if first != second:
            groups = [min(first, second) if g in {first, second} else g for g in groups]
    return groups


def split_folds(labels: Sequence[int], groups: Sequence[int], folds: int, seed: int) -> np.ndarray:
    """Return a fold number for each picture: groups stay whole, classes are spread evenly.

    Groups are dealt out, the largest first, each to the fold that has the fewest pictures of its class so far.
    Raises: DataError when a fold has no picture of some label.
    """
    rng = np.random.default_rng(seed)
    chosen = np.full(len(labels), -1)
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    order = list(members.values())
    rng.shuffle(order)
    order.sort(key=len, reverse=True)
    counts = np.zeros((folds, max(labels) + 1))
    for places in order:
        own = np.bincount([labels[p] for p in places], minlength=counts.shape[1])
        load = counts @ (own > 0) + counts.sum(axis=1) / 1000
        fold = int(np.argmin(load))
        chosen[places] = fold
        counts[fold] += own
    if counts.min() == 0:
        raise DataError(
            f"{len(labels)} pictures in {len(order)} groups of near-duplicates are too few for {folds} parts with "
            "every label in each; add pictures"
        )
    return chosen
