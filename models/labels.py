"""What is known of a picture by task: from its folder, a labels.csv, or its name as in UTKFace."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from models.pictures import DataError
from models.tasks import Task

LABELS_FILE: Final = "labels.csv"
FACE_TASKS: Final = frozenset({"gender", "age", "age-group"})
_UTKFACE: Final = re.compile(r"(\d{1,3})_([01])_")  # age_gender_race_date; Source: Zhang et al. 2017, UTKFace
_GENDERS: Final = ("male", "female")
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+)|(\+))")

Target = int | float
Labeller = Callable[[PurePosixPath], Mapping[str, Target]]
"""Gives the targets of the picture at a path inside its source: the number of a label, or a regression's value."""


def labeller(source: Path, paths: Sequence[PurePosixPath], tasks: Sequence[Task]) -> Labeller:
    """Return what tells the targets of a source's pictures. Raises: DataError when nothing can."""
    table = source / LABELS_FILE
    if source.is_dir() and table.is_file():
        return _by_table(table, paths, tasks)
    only = tasks[0] if len(tasks) == 1 and tasks[0].kind == "classification" else None
    if only and all(path.parent.name in only.labels for path in paths):
        return lambda path: _target(only, path.parent.name, str(path))
    if FACE_TASKS & {task.name for task in tasks}:
        return lambda path: _by_name(path, tasks)
    if only:
        return lambda path: _target(only, path.parent.name, str(path))
    names = ", ".join(task.name for task in tasks) or "none"
    raise DataError(
        f"{source} has folders for one classification, the tasks are {names}; "
        f"write a {LABELS_FILE} with a column for each task"
    )


def range_of(value: int, labels: Sequence[str]) -> str:
    """Return the label, such as 3-9 or 60+, whose range holds a whole number. Raises: DataError."""
    for label in labels:
        match = _RANGE.fullmatch(label)
        if match and int(match[1]) <= value and (match[3] or value <= int(match[2] or match[1])):
            return label
    raise DataError(f"{value} is in none of the ranges {', '.join(labels)}; correct the labels")


def _by_table(table: Path, paths: Sequence[PurePosixPath], tasks: Sequence[Task]) -> Labeller:
    rows = _read_table(table, tasks)
    missing = next((path for path in paths if str(path) not in rows), None)
    if missing is not None:
        raise DataError(f"{table} says nothing of {missing}, expected a row for every picture; add it")
    return lambda path: rows[str(path)]


def _read_table(table: Path, tasks: Sequence[Task]) -> dict[str, dict[str, Target]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for name in ("file", *(task.name for task in tasks)):
                if name not in columns:
                    raise DataError(f"{table} has columns {', '.join(columns)}, expected also {name}; add it")
            return {row["file"]: _row(row, tasks, f"{table}, line {reader.line_num}") for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read: {error}; write it as CSV in UTF-8") from error


def _row(row: Mapping[str, str | None], tasks: Sequence[Task], where: str) -> dict[str, Target]:
    """Return the targets of a row; an empty field is a task that is not known of this picture."""
    known = [(task, row[task.name]) for task in tasks]
    return {name: value for task, text in known if text for name, value in _target(task, text, where).items()}


def _by_name(path: PurePosixPath, tasks: Sequence[Task]) -> dict[str, Target]:
    match = _UTKFACE.match(path.name)
    if not match:
        raise DataError(f"{path} is not named age_gender_…, as in UTKFace; rename it or write a {LABELS_FILE}")
    age, gender = int(match[1]), _GENDERS[int(match[2])]
    found: dict[str, Target] = {}
    for task in tasks:
        text = gender if task.name == "gender" else match[1]
        if task.name == "age-group":
            text = range_of(age, task.labels)
        if task.name in FACE_TASKS:
            found |= _target(task, text, str(path))
    return found


def _target(task: Task, text: str, where: str) -> dict[str, Target]:
    if task.kind == "regression":
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{where}: {task.name} is {text!r}, expected a number; correct it")
        return {task.name: value}
    if text not in task.labels:
        raise DataError(f"{where}: label {text!r} of {task.name}, expected one of {', '.join(task.labels)}; rename it")
    return {task.name: task.labels.index(text)}
