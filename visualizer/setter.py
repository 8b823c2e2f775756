"""Sets devices for operators, as the broker's operator: the site's own user may not, and only reads."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from headwater.errors import BrokerError, TooLarge, WireError
from headwater.logs import event
from headwater.messages import VERSION, SettingsApplied, SettingsChange, decode_json, encode_json
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics

log = logging.getLogger(__name__)

AUTO: Final = "auto"
WORDS: Final = frozenset({AUTO, "image", "device"})
"""Splits that every device calls so, whatever its model."""
LARGEST_BYTES: Final = 65_536
MOST_DEVICES: Final = 10_000
ANSWER_S: Final = 3.0
"""So long a device that is there gets to answer."""

Thresholds = Mapping[str, Mapping[str, float]]
"""By exit, then by task."""


class Setter(Protocol):
    """Where operators' wishes go, and devices' answers come from."""

    def wanted(self, device: str) -> SettingsChange | None:
        """Return what was last wanted of a device, by anybody."""

    def applied(self, device: str) -> SettingsApplied | None:
        """Return what the device has last said that holds."""

    def set(self, device: str, split: str | None, thresholds: Thresholds) -> SettingsApplied | None:
        """Want something else of a device and return its answer, None where none has come yet.

        Raises: BrokerError, TooLarge.
        """

    def start(self) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """Stop listening."""


def changed(before: SettingsChange | None, split: str | None, thresholds: Thresholds) -> SettingsChange:
    """Return what is wanted from now on: the broker keeps one message a device, so what was wanted before stays in it.

    A codec goes with its split: what fits one need not fit another, and with auto the device chooses.
    """
    wanted = before or SettingsChange(VERSION)
    if split is not None and split != wanted.split:
        wanted = replace(wanted, split=split, codec=None)
    if thresholds:
        known = wanted.thresholds or {}
        merged = {**known, **{name: {**known.get(name, {}), **tasks} for name, tasks in thresholds.items()}}
        wanted = replace(wanted, thresholds=merged)
    return wanted


@dataclass(frozen=True)
class Asked:
    """What is wanted of a device that has not answered it yet, and what goes back if it refuses."""

    change: SettingsChange
    before: SettingsChange | None
    held: SettingsApplied | None
    """What the device had last said that holds."""
    answers: int
    """So many had come from it."""
    is_alone: bool
    """No answer to an earlier wish can come in between."""

    def is_met(self, applied: SettingsApplied) -> bool:
        """Tell whether the device has done it, and does not only say again, as with a greeting, what held before.

        Asked for a cut point by number it answers with the name, so another than before is an answer, too.
        """
        if self.held is None or not self.is_alone or {applied.split, self.change.split} & WORDS:
            return holds(applied, self.change)
        return holds(applied, replace(self.change, split=None)) and applied != self.held


def holds(applied: SettingsApplied, change: SettingsChange) -> bool:
    """Tell whether the device says that what was asked for holds."""
    wanted = [(name, task, value) for name, tasks in (change.thresholds or {}).items() for task, value in tasks.items()]
    return (
        applied.refused is None
        and change.split in (None, applied.split)
        and all(applied.thresholds.get(name, {}).get(task) == value for name, task, value in wanted)
    )


class DeviceSetter:
    """Writes settings to the broker, retained, and hears settings and answers of the whole fleet."""

    def __init__(self, address: Address, fleet: str, answer_s: float = ANSWER_S) -> None:
        self._topics, self._answer_s = Topics(fleet), answer_s
        self._wanted: dict[str, SettingsChange] = {}
        self._applied: dict[str, SettingsApplied] = {}
        self._answers: dict[str, int] = {}
        self._asked: dict[str, Asked] = {}
        self._newer: set[str] = set()
        """Devices of which something was wanted after they have last refused something."""
        self._being_set: set[str] = set()
        self._news = threading.Condition()
        self._session = Session(
            address,
            f"site-operator-{secrets.token_hex(4)}",
            Callbacks(on_message=self.take),
            subscriptions=[(self._topics.every(kind), 0) for kind in ("settings", "settings/applied")],
            packet_limit_bytes=LARGEST_BYTES,
        )

    def start(self) -> None:
        """Begin to connect."""
        self._session.start()

    def stop(self) -> None:
        """Say goodbye to the broker."""
        self._session.stop()

    def wanted(self, device: str) -> SettingsChange | None:
        """Return what was last wanted of a device, by anybody."""
        with self._news:
            return self._wanted.get(device)

    def applied(self, device: str) -> SettingsApplied | None:
        """Return what the device has last said that holds."""
        with self._news:
            return self._applied.get(device)

    def set(self, device: str, split: str | None, thresholds: Thresholds) -> SettingsApplied | None:
        """Want something else of a device and return its answer, None where none has come yet.

        Of two who set one device the second waits until the first has an answer. Raises: BrokerError, TooLarge.
        """
        with self._turn(device), self._news:
            if not self._session.is_connected:
                raise BrokerError("the broker is away, so nothing was set; try again when the site shows it again")
            self._ask(device, split, thresholds)
            is_answered = self._news.wait_for(lambda: device not in self._asked, self._answer_s)
            return self._applied.get(device) if is_answered else None

    @contextmanager
    def _turn(self, device: str) -> Iterator[None]:
        """Let one after the other set a device."""
        with self._news:
            self._news.wait_for(lambda: device not in self._being_set)
            self._being_set.add(device)
        try:
            yield
        finally:
            with self._news:
                self._being_set.remove(device)
                self._news.notify_all()

    def _ask(self, device: str, split: str | None, thresholds: Thresholds) -> None:
        """Have the broker keep the wish; what is not answered yet goes back with it, should it be refused."""
        wanted, asked = self._in_force(device), self._asked.get(device)
        change = changed(wanted, split, thresholds)
        before = asked.before if asked is not None and asked.change == wanted else wanted
        self._publish(device, change)  # nothing is noted where this raises
        applied, answers = self._applied.get(device), self._answers.get(device, 0)
        held = None if applied is None else replace(applied, refused=None)
        self._asked[device] = Asked(change, before, held, answers, asked is None or answers > asked.answers)
        self._keep_newer(device, change)

    def _in_force(self, device: str) -> SettingsChange | None:
        """Return what was last wanted of a device, unless it has refused that."""
        applied = self._applied.get(device)
        is_refused = applied is not None and applied.refused is not None and device not in self._newer
        return None if is_refused else self._wanted.get(device)

    def _publish(self, device: str, change: SettingsChange | None) -> None:
        """Have the broker keep this, or nothing. Raises: TooLarge."""
        payload = b"" if change is None else encode_json(change)
        self._session.publish(self._topics.of_device(device, "settings"), payload, retain=True)

    def take(self, message: Received) -> None:
        """Keep one device's settings or answer; what is none of ours is left aside."""
        device = self._topics.device_in(message.topic)
        if device is None:
            return
        with self._news:
            if message.topic == self._topics.of_device(device, "settings"):
                self._take_wanted(device, message)
            else:
                self._take_applied(device, message)
            self._news.notify_all()

    def _take_wanted(self, device: str, message: Received) -> None:
        try:
            wanted = decode_json(SettingsChange, message.payload, LARGEST_BYTES)
        except WireError:  # empty: taken back; or what the device will refuse as well
            wanted = None
        if message.retained:  # perhaps what the device has refused
            self._keep(device, wanted)
        else:
            self._keep_newer(device, wanted)

    def _keep_newer(self, device: str, wanted: SettingsChange | None) -> None:
        self._keep(device, wanted)
        self._newer.discard(device)
        if device in self._wanted:
            self._newer.add(device)

    def _keep(self, device: str, wanted: SettingsChange | None) -> None:
        self._wanted.pop(device, None)
        if wanted is not None and len(self._wanted) < MOST_DEVICES:
            self._wanted[device] = wanted

    def _take_applied(self, device: str, message: Received) -> None:
        try:
            applied = decode_json(SettingsApplied, message.payload, LARGEST_BYTES)
        except WireError:
            return
        known = self._applied.get(device)
        if applied.device != device or (known is None and len(self._applied) >= MOST_DEVICES):
            return
        self._applied[device] = applied
        if not message.retained or known not in (None, applied):  # else it was said before anybody asked
            self._answers[device] = self._answers.get(device, 0) + 1
            self._answered(device, applied)

    def _answered(self, device: str, applied: SettingsApplied) -> None:
        """Take back what the device refuses, however late: it would be refused again with every wish on top of it."""
        asked = self._asked.get(device)
        if applied.refused is None:
            if asked is not None and asked.is_met(applied):
                del self._asked[device]
            return
        self._newer.discard(device)
        if asked is not None:
            del self._asked[device]
            if self._wanted.get(device) == asked.change:  # else somebody has set something else since
                self._take_back(device, asked.before, applied.refused)

    def _take_back(self, device: str, before: SettingsChange | None, why: str) -> None:
        try:
            self._publish(device, before)
        except TooLarge as error:
            log.error(event("refused settings not taken back", device=device, reason=error))
            return
        self._keep_newer(device, before)
        log.warning(event("refused settings taken back", device=device, reason=why))
