"""Labelled pictures, split so that training, calibration and tests never share one.

Understood are a folder or tar with one subfolder per label, a folder with a `labels.csv` (a column `file` and one per
task), pictures named as UTKFace names them, and MNIST's .npz. Folders named train, validation (or val) and test keep
those parts apart; without them the content of each file decides, so that a picture is on the same side on every
machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, get_args

from models.choices import SamplePart
from models.labels import LABELS_FILE, Target, labeller
from models.pictures import DataError
from models.sources import Entry, Place, entries_in
from models.tasks import Task

PARTS: Final[tuple[SamplePart, ...]] = get_args(SamplePart)
_FOLDERS: Final[Mapping[str, SamplePart]] = {**{part: part for part in PARTS}, "val": "validation"}
_OF_EVERY: Final = 20


@dataclass(frozen=True)
class Sample:
    """One labelled picture; a target is the number of a label, or the value of a regression."""

    name: str
    digest: str
    """SHA-256 of its encoded bytes."""
    part: SamplePart
    targets: Mapping[str, Target]
    _content: Place | bytes

    def read(self) -> bytes:
        """Return the encoded picture. Raises: DataError when its file cannot be read any more."""
        return _bytes_of(self.name, self._content)

    @contextmanager
    def opened(self) -> Iterator[bytes]:
        """Give the encoded picture to be decoded; what is wrong with it is said with its name. Raises: DataError."""
        content = self.read()
        try:
            yield content
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error


def read_samples(source: Path, tasks: Sequence[Task], tick: Callable[[], None] = lambda: None) -> list[Sample]:
    """Return the labelled pictures of a source in a fixed order, one of each content.

    `tick` is called once for every picture looked at. A picture of which a task is not known lacks that target.
    Raises: DataError for a source that cannot be read, an unknown label, or one picture under two labels.
    """
    entries = entries_in(source)
    targets_of = labeller(source, [entry.path for entry in entries], tasks)
    labels = _folder_labels(source, tasks)
    folders = {_named_part(entry.path, labels) for entry in entries}
    samples: dict[str, Sample] = {}
    for entry in entries:
        sample = _sample(entry, targets_of(entry.path), labels, folders)
        tick()
        twin = samples.setdefault(sample.digest, sample)
        if twin.targets != sample.targets:
            raise DataError(f"{sample.name} and {twin.name} are one picture with two labels; remove the wrong one")
    return list(samples.values())


def read_all(
    sources: Sequence[Path], tasks: Sequence[Task], tick: Callable[[], None] = lambda: None
) -> dict[SamplePart, list[Sample]]:
    """Return the samples of several sources by part; a picture found twice counts once. Raises: DataError."""
    kept: dict[str, Sample] = {}
    for source in sources:
        for sample in read_samples(source, tasks, tick):
            kept.setdefault(sample.digest, sample)
    return {part: [sample for sample in kept.values() if sample.part == part] for part in PARTS}


def unlabelled_samples(source: Path, without: Collection[str]) -> list[Sample]:
    """Return all pictures of a source as training pictures without a target, but for those with these digests.

    Raises: DataError for a source that cannot be read.
    """
    samples = (replace(_sample(entry, {}, (), ()), part="train") for entry in entries_in(source))
    kept: dict[str, Sample] = {}
    for sample in samples:
        if sample.digest not in without:
            kept.setdefault(sample.digest, sample)
    return list(kept.values())


def labels_in(source: Path) -> tuple[str, ...]:
    """Return the labels that the subfolders of a source name, sorted. Raises: DataError when there are none."""
    parents = {entry.path.parent for entry in entries_in(source)}
    labels = sorted({p.name for p in parents if p.name not in _FOLDERS or _named_part(p, ())} - {""})
    if len(labels) < 2:
        raise DataError(f"{source} has {len(labels)} folders of pictures, expected one for each label; see --data")
    return tuple(labels)


def part_by_content(digest: str) -> SamplePart:
    """Return the part of a picture that its SHA-256 decides: 70 % train, 15 % validation, 15 % test."""
    draw = int(digest[:8], 16) % _OF_EVERY
    return "test" if draw < 3 else "validation" if draw < 6 else "train"


def _sample(
    entry: Entry, targets: Mapping[str, Target], labels: Collection[str], folders: Collection[SamplePart | None]
) -> Sample:
    digest = hashlib.sha256(_bytes_of(str(entry.path), entry.content)).hexdigest()
    return Sample(
        str(entry.path), digest, _part(_named_part(entry.path, labels), digest, folders), targets, entry.content
    )


def _folder_labels(source: Path, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the labels that the folder right above a picture can stand for; none where a table gives them."""
    table = source.is_dir() and (source / LABELS_FILE).is_file()
    return () if table or len(tasks) != 1 else tasks[0].labels


def _named_part(path: PurePosixPath, labels: Collection[str]) -> SamplePart | None:
    """Return the part that the outermost such folder names; one that is a label names none, as in test/train/1.png."""
    folders = path.parts[:-2] if path.parent.name in labels else path.parts[:-1]
    return next((_FOLDERS[name] for name in folders if name in _FOLDERS), None)


def _part(named: SamplePart | None, digest: str, folders: Collection[SamplePart | None]) -> SamplePart:
    """Return the part that a folder names; of train without validation a tenth is set apart."""
    if named == "train" and "validation" not in folders:
        return "validation" if int(digest[:8], 16) % _OF_EVERY < 2 else "train"
    return named or part_by_content(digest)


def _bytes_of(name: str, content: Place | bytes) -> bytes:
    try:
        return content if isinstance(content, bytes) else content.read()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}; see --data") from error
