"""A calibration told to a person: tables, JSON, and files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from models.bundle import Bundle
from models.calibration import Calibration
from models.calibration_rows import ClassRow, calibration_errors, class_rows, classes_csv, curve_csv, plot
from models.certainty import least_pictures
from models.judge import Judged

WIDTH: Final = 132


class CalibrationReport:
    """What is told of a calibration."""

    def __init__(self, bundle: Bundle, judged: Judged, result: Calibration, max_loss: float, confidence: float) -> None:
        self._bundle, self._judged, self._result = bundle, judged, result
        self._max_loss, self._confidence = max_loss, confidence
        self._tempered = judged.answers.tempered(result.temperatures)
        self._errors = calibration_errors(judged.answers, result)
        labels = {task.name: task.labels for task in bundle.tasks}
        self._classes = class_rows(self._tempered, result.chosen.outcome, labels)

    def save(self, folder: Path) -> None:
        """Write curve.csv, classes.csv and curve.svg."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "curve.csv").write_text(curve_csv(self._result, self._judged.answers), encoding="utf-8")
        (folder / "classes.csv").write_text(classes_csv(self._classes), encoding="utf-8")
        plot(folder / "curve.svg", self._result, self._judged.answers, self._max_loss / 100)

    def json(self) -> str:
        """Return everything as one JSON object."""
        chosen, nobody = self._result.chosen, self._result.curve[0].outcome
        out = {
            "bundle": self._bundle.name,
            "pictures": self._judged.answers.pictures,
            "passed_over": self._judged.passed_over,
            "rule": self._result.rule,
            "found": self._result.is_found,
            "thresholds": chosen.thresholds,
            "temperatures": self._result.temperatures,
            "shares": dict(zip(self._places(), chosen.outcome.shares, strict=True)),
            "accuracy": chosen.outcome.accuracy,
            "accuracy_end": nobody.accuracy,
            "error": chosen.outcome.error,
            "error_end": nobody.error,
            "madds": chosen.outcome.madds,
            "madds_end": nobody.madds,
            "calibration_error": self._errors,
            "classes": [asdict(row) | {"overconfidence": row.overconfidence} for row in self._classes],
        }
        return json.dumps(out)

    def text(self) -> str:
        """Return tables of exits, tasks and classes and, where nothing was found, why."""
        tables = (self._exits_table(), self._tasks_table(), self._classes_table())
        return "\n".join([*(_drawn(table) for table in tables), self._sentence()])

    def _places(self) -> list[str]:
        return [place.name for place in self._judged.answers.places]

    def _exits_table(self) -> Table:
        answers, found = self._judged.answers, self._result.chosen
        rows = []
        for place, share in zip(answers.places, found.outcome.shares, strict=True):
            limits = found.thresholds.get(place.name, {})
            shown = ", ".join(f"{task} {value:.4g}" for task, value in limits.items()) or "none: nobody leaves"
            shown = "" if place is answers.final else shown
            rows.append([place.name, f"{place.madds / 1e6:,.2f} M", f"{share:.1%}", f"{self._result.rule}: {shown}"])
            if place is answers.final:
                rows[-1][-1] = ""
        return _table({"place": "left", "MAdds": "right", "leave here": "right", "thresholds": "left"}, rows)

    def _tasks_table(self) -> Table:
        rows = []
        for place in self._judged.answers.places:
            alone = {task: self._judged.answers.right(task) for task in place.scores}
            number = self._places().index(place.name)
            for task in place.scores:
                known = self._judged.answers.truth[task] >= 0
                before, after = self._errors[place.name][task]
                heat = self._result.temperatures[place.name][task]
                right = f"{alone[task][number][known].mean():.2%}"
                rows.append([task, f"all at {place.name}", right, f"{heat:g}", f"{before:.3f}", f"{after:.3f}"])
        for task, value in self._result.chosen.outcome.accuracy.items():
            rows.append([task, "with these exits", f"{value:.2%}", "", "", ""])
        heads = {"task": "left", "": "left", "accuracy": "right"}
        return _table(heads | {"temperature": "right", "ECE before": "right", "ECE after": "right"}, rows)

    def _classes_table(self) -> Table:
        heads = dict.fromkeys(("task", "label", "place"), "left") | dict.fromkeys(
            ("pictures", "leave here", "right here", "right at the end", "confidence", "over-confident by"), "right"
        )
        return _table(heads, list(_class_cells(self._classes)))

    def _sentence(self) -> str:
        count, found = self._judged.answers.pictures, self._result.chosen.outcome
        whole = self._result.curve[0].outcome.madds
        losses = ", ".join(f"{task} {loss * 100:+.2f}" for task, loss in found.loss.items())
        if self._result.is_found:
            return (
                f"{found.early:.1%} of {count} pictures leave early, for {found.madds / whole:.1%} of the "
                f"multiply-adds; points lost on them: {losses}"
            )
        least = least_pictures(self._max_loss / 100, self._confidence / 100)
        return (
            f"no threshold keeps the loss within {self._max_loss:g} points with {self._confidence:g} % confidence on "
            f"{len(self._result.held)} testing pictures; that takes at least {least}: add pictures, allow more with "
            "--max-loss, or trust the sample mean with --confidence 0"
        )


def _class_cells(rows: Sequence[ClassRow]) -> Iterator[list[str]]:
    for row in rows:
        shares = [row.accuracy, row.accuracy_at_end, row.confidence]
        over = "" if row.overconfidence is None else f"{row.overconfidence * 100:+.1f}"
        cells = ["" if share is None else f"{share:.1%}" for share in shares]
        yield [row.task, row.label, row.place, str(row.pictures), str(row.left), *cells, over]


def _table(heads: Mapping[str, str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head, side in heads.items():
        table.add_column(head, justify="right" if side == "right" else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _drawn(table: Table) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()
