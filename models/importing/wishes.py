"""What a user says of a model on the command line: tasks, labels, units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.errors import ModelError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SYNTAX: Final = "NAME=OUTPUT:LABEL,LABEL,… or NAME=OUTPUT:labels.txt, of a number NAME=OUTPUT or NAME=OUTPUT:UNIT"
MAX_LABELS_BYTES: Final = 10_000_000


class ImportFailed(ModelError):
    """A model cannot be made a bundle as asked."""


@dataclass(frozen=True)
class TaskWish:
    """One task as a user names it; without labels it is a regression, unless the model gives several numbers."""

    name: str
    output: str | None = None
    labels: tuple[str, ...] = ()
    unit: str | None = None
    numbered: tuple[str, ...] = ()
    """Those labels that stood in a file again and got a number."""


def task_wishes(texts: Sequence[str], labels: str | tuple[str, ...] | None, name: str) -> list[TaskWish]:
    """Return the tasks asked for; of a model with one output the task's name is `name` where none is given.

    `labels` are a text as `read_labels` takes it, or the labels themselves.
    Raises: ImportFailed for a text that does not say what it must.
    """
    if any("=" in text for text in texts):
        if labels is not None:
            raise ImportFailed(
                "--labels is given beside --task NAME=OUTPUT:…, expected the labels there; drop --labels"
            )
        return [_wish(text) for text in texts]
    if len(texts) > 1:
        raise ImportFailed(f"--task is given {len(texts)} times as a bare name, expected {_SYNTAX}")
    read, numbered = read_labels(labels) if isinstance(labels, str) and labels else (labels or (), ())
    return [TaskWish(_checked_name(texts[0] if texts else name), labels=tuple(read), numbered=numbered)]


def _wish(text: str) -> TaskWish:
    name, _, rest = text.partition("=")
    if not rest:
        raise ImportFailed(f"--task {text!r} names no output, expected {_SYNTAX}")
    output, _, said = rest.partition(":")
    if not said or not _are_labels(said):
        return TaskWish(_checked_name(name), output, unit=said or None)
    labels, numbered = read_labels(said)
    return TaskWish(_checked_name(name), output, labels, numbered=numbered)


def _are_labels(text: str) -> bool:
    return "," in text or Path(text).suffix == ".txt" or _is_file(text)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a file's name may be
        return False


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ImportFailed(
            f"{name!r} is no name, expected lower-case letters, digits, dots, dashes, at most 64; rename"
        )
    return name


def read_labels(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of `a,b,c`, or of a text file with one a line, and those of a file that had to be numbered.

    Raises: ImportFailed.
    """
    if "," not in text or _is_file(text):
        found, numbered = _numbered(_lines(Path(text)))
    else:
        found, numbered = tuple(label.strip() for label in text.split(",")), ()
    twice = next((label for label, count in Counter(found).items() if count > 1), None)
    if twice is not None or "" in found or len(found) < 2:
        wrong = f"{twice!r} twice" if twice else f"{len(found)} labels, one of them empty" if found else "no label"
        raise ImportFailed(f"--labels: got {wrong}, expected two or more different ones; correct {text}")
    return found, numbered


def _numbered(lines: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return lines that differ, a repeated one with its number behind it, and those that got one."""
    seen: Counter[str] = Counter()
    found, numbered = [], []
    for line in lines:
        seen[line] += 1
        if seen[line] > 1:
            numbered.append(f"{line} ({seen[line]})")
        found.append(line if seen[line] == 1 else numbered[-1])
    return tuple(found), tuple(numbered)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            raise ImportFailed(f"{path} has {path.stat().st_size} B, expected a list of labels; give another file")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(
            f"--labels {path} is neither a,b,c nor a file of labels, one a line: {error}; correct it"
        ) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def bundle_name(given: str | None, file: Path) -> str:
    """Return the name of the bundle: the one given, else that of the file in a bundle's letters."""
    if given is not None:
        return _checked_name(given)
    return re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")[:64] or "model"
