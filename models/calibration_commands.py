"""The command `headwater models calibrate`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.choices import Part, Rule
from models.errors import ModelError

if TYPE_CHECKING:
    from models.answers import Answers, Thresholds
    from models.bundle import Bundle
    from models.calibration import Calibration
    from models.judge import Judged


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """What is asked of a calibration."""

    data: Annotated[list[Path], Parameter(negative="")]
    """Folder, .tar or .npz of labelled pictures; may be given several times."""
    max_loss: Annotated[float, Parameter(validator=Number(gte=0.001, lte=100))] = 0.5
    """Allowed loss of accuracy of each task, in points."""
    confidence: Annotated[float, Parameter(validator=Number(gte=0, lt=100))] = 95.0
    """Of that statement, in per cent; 0 trusts the sample mean."""
    rule: Rule | None = None
    """By which exits decide; by default the bundle's own."""
    part: Part = "validation"
    """Which of the pictures: what a folder says, or the content of each file; see docs/exits.md."""
    by_hand: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None
    """Look at a threshold set by hand instead, as exit1/gender=0.6, with the bundle's own temperatures; one for each
    classification of every exit to open."""
    write: bool = False
    """Put thresholds, rule and temperatures into the bundle.toml; with --set all but the temperatures."""
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """Folder for curve.csv, classes.csv and curve.svg."""
    seed: int = 0
    """Which pictures order the candidates and which test them."""


def calibrate(
    bundle: str, /, *, settings: Annotated[CalibrationSettings, Parameter(name="*")], json: bool = False
) -> None:
    """Choose when frames leave at the early exits of a bundle, for an allowed loss of accuracy.

    Example: headwater models calibrate my-bundles/faces --data faces --max-loss 0.5 --write

    From labelled pictures that no training saw, the thresholds with the fewest expected multiply-adds are chosen for
    which every classification loses at most `--max-loss` points against the network's end, with `--confidence`; and
    a temperature for each answer, so that its confidence is what it says. Regressions ride along.

    Args:
        bundle: the name or the folder of a bundle with exits
        json: print one JSON object instead of tables
    """
    from models.bundle import Bundle
    from models.calibration_report import CalibrationReport

    found = Bundle.load(bundle)
    rule = _rule(found, settings.rule)
    by_hand = _set_by_hand(found, settings.by_hand)
    judged = _judge(found, settings.data, settings.part)
    _warn_of_seen(settings.part)
    result = _calibrate(judged.answers, found, settings, rule, by_hand)
    report = CalibrationReport(found, judged, result, settings.max_loss, settings.confidence)
    if settings.output is not None:
        report.save(settings.output)
        print(f"written: {settings.output}/curve.csv, classes.csv, curve.svg", file=sys.stderr)
    print(report.json() if json else report.text())
    if settings.write:
        _write(found, result, with_temperatures=by_hand is None)


def _rule(bundle: Bundle, asked: Rule | None) -> Rule:
    from models.judge import one_rule

    if not (bundle.folder / "bundle.toml").is_file():
        raise ModelError(f"{bundle.name} has no bundle.toml; expected a bundle's folder")
    same = tuple(replace(found, rule=asked or found.rule) for found in bundle.exits)
    return one_rule(replace(bundle, exits=same))


def _warn_of_seen(part: Part) -> None:
    if part in {"train", "all"}:
        print(
            f"headwater: warning: --part {part} takes pictures that the network has seen, if it was trained on this "
            "data: then the promise does not hold for others; use --part validation",
            file=sys.stderr,
        )


def _judge(bundle: Bundle, data: Sequence[Path], part: Part) -> Judged:
    from models.bars import counting_bar
    from models.judge import judge
    from models.parts import chosen_of_all

    samples = chosen_of_all(bundle, data, part)
    with counting_bar(f"asking {bundle.name}", len(samples)) as tick:
        return judge(bundle, samples, tick=tick)


def _calibrate(
    answers: Answers, bundle: Bundle, settings: CalibrationSettings, rule: Rule, by_hand: Thresholds | None
) -> Calibration:
    """Return what was found or, of thresholds set by hand, what the bundle as it is does with them."""
    from models.answers import outcome
    from models.calibration import Point, calibrate
    from models.judge import temperatures_of

    stated = None if by_hand is None else temperatures_of(bundle)
    result = calibrate(answers, rule, settings.max_loss / 100, settings.confidence / 100, settings.seed, stated)
    if by_hand is None:
        return result
    as_set = Point(by_hand, outcome(answers.tempered(result.temperatures), by_hand, rule), 1.0)
    return replace(result, chosen=as_set)


def _set_by_hand(bundle: Bundle, given: Sequence[str] | None) -> Thresholds | None:
    """Return the thresholds that --set gives. Raises: ModelError."""
    if not given:
        return None
    tasks = [task.name for task in bundle.tasks if task.kind == "classification"]
    known = {f"{found.name}/{task}" for found in bundle.exits for task in tasks}
    found: dict[str, dict[str, float]] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in known or not math.isfinite(number):
            raise ModelError(f"--set {text!r}: expected EXIT/TASK=NUMBER with one of {', '.join(sorted(known))}")
        exit_, _, task = name.partition("/")
        found.setdefault(exit_, {})[task] = number
    missing = [f"{exit_}/{task}" for exit_, limits in found.items() for task in tasks if task not in limits]
    if missing:
        raise ModelError(
            f"--set gives nothing for {', '.join(missing)}, expected a number for each classification of an exit that "
            f"is to open, since a frame leaves when all are sure; add --set {missing[0]}=NUMBER"
        )
    return found


def _write(bundle: Bundle, result: Calibration, *, with_temperatures: bool) -> None:
    from models.manifest_text import rewrite_exits

    found = result.temperatures
    exits = result.applied(bundle.exits)
    if with_temperatures:
        exits = [replace(one, temperatures=found[one.name]) for one in exits]
    path = bundle.folder / "bundle.toml"
    rewrite_exits(path, exits, found["end"] if with_temperatures else {})
    print(f"written: {path}", file=sys.stderr)
