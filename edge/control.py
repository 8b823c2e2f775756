"""What the device runs now, who may change it, and how: an operator by settings, `--split auto` by its decisions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge.evidence import check_may_leave
from edge.head import Head, prepare_head
from edge.plan import Plan, changed_plan
from edge.rehearsal import check_codecs
from edge.splits import AUTO, DEVICE, IMAGE, cut_points
from headwater.codec import LOSSLESS
from headwater.errors import SettingsError, WireError
from headwater.logs import event
from headwater.messages import VERSION, SettingsApplied, SettingsChange, decode_json
from models.bundle import Bundle
from models.crop import Crop
from models.engine import Engine
from models.errors import ModelError
from models.exits import ExitRule
from models.stages import rules_of
from planning.decide import Limits

log = logging.getLogger(__name__)

SETTINGS_LIMIT_BYTES: Final = 10_000


@dataclass(frozen=True)
class Running:
    """A plan and the head that is ready for it."""

    plan: Plan
    head: Head


class Control:
    """The plan in force and its head; heads are made ready by whoever changes them, the capture goes on meanwhile."""

    def __init__(
        self, name: str, bundle: Bundle, engine: Engine, plan: Plan, crop: Crop | None, limits: Limits
    ) -> None:
        """Make the first head ready: of `--split auto` one that finishes here. Raises: SettingsError.

        What `limits` say of what may leave the device holds for every split, whoever sets it.
        """
        self._name, self._bundle, self._engine, self._crop = name, bundle, engine, crop
        self._limits, self._first_codec = limits, plan.codec
        plan = replace(plan, rules=rules_of(bundle))
        self._lock = threading.Lock()
        self._probe: Head | None = None
        self.on_plan: Callable[[Plan], None] = lambda plan: None
        self._now = Running(plan, self._prepared(plan))

    @property
    def plan(self) -> Plan:
        """Return what is wanted of every frame."""
        return self._now.plan

    @property
    def head(self) -> Head:
        """Return the head that runs, probes aside."""
        return self._now.head

    @property
    def splits(self) -> tuple[str, ...]:
        """Return every split that an operator may set: auto, image, device, and the model's cut points."""
        points = (point.name for point in cut_points(self._engine.graph))
        return tuple(dict.fromkeys((AUTO, IMAGE, DEVICE, *points)))

    def next(self) -> Running:
        """Return what the next frame is to go through; a probe is given once."""
        now, probe = self._now, self._probe
        if probe is None or now.plan.split != AUTO:
            return now
        self._probe = None
        return Running(now.plan, probe)

    def use(self, head: Head) -> None:
        """Put another head in place, as long as the split is left to decide."""
        with self._lock:
            if self._now.plan.split == AUTO:
                self._now = Running(self._now.plan, head)

    def probe(self, head: Head) -> None:
        """Send the next frame through this head, and those after it through the one in place."""
        self._probe = head

    def apply(self, payload: bytes) -> SettingsApplied | None:
        """Take an operator's settings, all or none, and return what holds now; None for an empty message."""
        if not payload:
            return None
        refused = None
        try:
            self._change(decode_json(SettingsChange, payload, SETTINGS_LIMIT_BYTES))
        except (WireError, SettingsError, ModelError) as error:
            refused = str(error)[:1024]
            log.warning(event("settings refused", reason=refused))
        return self.applied(refused)

    def applied(self, refused: str | None = None) -> SettingsApplied:
        """Return what holds now, and why something was refused, if it was."""
        now = self._now
        plan = now.plan
        return SettingsApplied(
            VERSION,
            self._name,
            plan.split if plan.split == AUTO else now.head.split,
            plan.codec,
            plan.report,
            _thresholds(plan.rules),
            _drop(plan.rules),
            refused,
        )

    def _change(self, change: SettingsChange) -> None:
        before = self._now
        plan = changed_plan(before.plan, change, self._engine.graph)
        if plan.split == AUTO:
            plan = replace(plan, codec=self._codec_of_auto(change))
        same = replace(plan, report=before.plan.report) == before.plan
        head = before.head if same else self._prepared(plan)
        with self._lock:
            self._now, self._probe = Running(plan, self._now.head if same else head), None
        log.info(event("settings applied", split=plan.split, codec=plan.codec))
        self.on_plan(plan)

    def _codec_of_auto(self, change: SettingsChange) -> str:
        """Return the codec of the start, which the profile was measured with. Raises: SettingsError for another."""
        if change.codec not in (None, self._first_codec):
            raise SettingsError(
                f"codec: got {change.codec!r}, and with split auto the device's own, {self._first_codec!r}, holds; "
                "set a split, too, or start the device with another --codec"
            )
        return self._first_codec

    def _prepared(self, plan: Plan) -> Head:
        split, codec = plan.split, plan.codec
        check_may_leave(self._bundle, self._engine, split, self._limits)
        if split == AUTO:
            check_codecs(self._engine, (codec,), self._bundle.cut_points)
            split, codec = DEVICE, LOSSLESS
        return prepare_head(self._bundle, self._engine, split, codec, plan.rules, self._crop)


def _thresholds(rules: Mapping[str, ExitRule]) -> dict[str, dict[str, float]]:
    return {name: dict(rule.thresholds) for name, rule in rules.items()}


def _drop(rules: Mapping[str, ExitRule]) -> dict[str, dict[str, float]]:
    return {name: dict(rule.drop) for name, rule in rules.items() if rule.drop}
