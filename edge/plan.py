"""What an operator wants of a device, and how a change of it is taken: all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from edge.keeping import Keeping
from edge.splits import AUTO, checked_split, codec_fits
from headwater.codec import LOSSLESS
from headwater.errors import SettingsError
from headwater.fields import Report
from headwater.messages import SettingsChange
from models.exits import ExitRule
from models.graph import Graph

Wanted = Mapping[str, Mapping[str, float]]
"""By exit, then by task."""


@dataclass(frozen=True)
class Plan:
    """What an operator wants of every frame."""

    split: str
    codec: str
    report: Report
    rules: Mapping[str, ExitRule] = field(default_factory=dict)
    """Of every exit of the model, by its name; the bundle's own at first."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of one device."""

    frames: int | None
    window: int
    timeout_s: float
    expire_s: float | None
    frame_bytes: int
    drain_s: float
    rate: float | None = None
    """Of the source, where one was asked for."""
    keeping: Keeping = field(default_factory=Keeping)


def changed_plan(now: Plan, change: SettingsChange, graph: Graph) -> Plan:
    """Return the plan with the change; a codec that does not fit a new split gives way to the lossless one.

    Raises: SettingsError for what the model has not, or a codec that does not fit.
    """
    split = now.split
    if change.split is not None:
        split = AUTO if change.split == AUTO else checked_split(graph, change.split)
    codec = now.codec if change.codec is None else change.codec
    if change.codec is None and split != AUTO and not codec_fits(graph, split, codec):
        codec = LOSSLESS
    rules = with_drop(with_thresholds(now.rules, change.thresholds or {}), change.drop or {})
    return Plan(split, codec, change.report or now.report, rules)


def with_thresholds(rules: Mapping[str, ExitRule], wanted: Wanted) -> Mapping[str, ExitRule]:
    """Return the rules with other thresholds; exits and tasks that are not named stay as they are.

    Raises: SettingsError for an exit that there is not, or a task that it does not classify.
    """
    _check_names("thresholds", rules, wanted)
    changed = {name: replace(rules[name], thresholds={**rules[name].thresholds, **wanted[name]}) for name in wanted}
    return {**rules, **changed}


def with_drop(rules: Mapping[str, ExitRule], wanted: Wanted) -> Mapping[str, ExitRule]:
    """Return the rules with other thresholds for giving a frame up, as with_thresholds does. Raises: SettingsError."""
    _check_names("drop", rules, wanted)
    changed = {name: replace(rules[name], drop={**rules[name].drop, **wanted[name]}) for name in wanted}
    return {**rules, **changed}


def _check_names(key: str, rules: Mapping[str, ExitRule], wanted: Wanted) -> None:
    for name, limits in wanted.items():
        if name not in rules:
            raise _unknown(key, "exit", name, rules)
        for task in limits:
            if task not in rules[name].tasks:
                raise _unknown(key, f"task at exit {name}", task, sorted(rules[name].tasks))


def _unknown(key: str, what: str, got: str, known: Iterable[str]) -> SettingsError:
    names = list(known)
    expected = f"one of {', '.join(names)}" if names else "none, the model has no exits"
    return SettingsError(f"{key}: got {what} {got!r}, expected {expected}; correct the name")
