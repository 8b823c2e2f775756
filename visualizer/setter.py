"""Sets devices for operators, as the broker's operator: the site's own user may not, and only reads."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Final, Protocol

from msgspec.structs import replace

from headwater.errors import BrokerError, WireError
from headwater.messages import VERSION, SettingsApplied, SettingsChange, decode_json, encode_json
from headwater.session import Address, Callbacks, Received, Session
from headwater.topics import Topics

AUTO: Final = "auto"
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
        """Want something else of a device and return its answer, None where none has come yet. Raises: BrokerError."""

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


class DeviceSetter:
    """Writes settings to the broker, retained, and hears settings and answers of the whole fleet."""

    def __init__(self, address: Address, fleet: str, answer_s: float = ANSWER_S) -> None:
        self._topics, self._answer_s = Topics(fleet), answer_s
        self._wanted: dict[str, SettingsChange] = {}
        self._applied: dict[str, SettingsApplied] = {}
        self._answers: dict[str, int] = {}
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
        """Want something else of a device and return its answer, None where none has come yet. Raises: BrokerError.

        What a device refuses is taken back: it would be refused again with every later wish, which goes on top of it.
        """
        if not self._session.is_connected:
            raise BrokerError("the broker is away, so nothing was set; try again when the site shows it again")
        with self._news:
            before, answers = self._in_force(device), self._answers.get(device, 0)
            change = self._wanted[device] = changed(before, split, thresholds)
        self._publish(device, change)
        with self._news:
            if not self._news.wait_for(lambda: self._answers.get(device, 0) > answers, self._answer_s):
                return None
            answer = self._applied[device]
        if answer.refused is not None:
            self._publish(device, before)
        return answer

    def _in_force(self, device: str) -> SettingsChange | None:
        """Return what was last wanted of a device, unless it has refused that."""
        applied = self._applied.get(device)
        return None if applied is not None and applied.refused is not None else self._wanted.get(device)

    def _publish(self, device: str, change: SettingsChange | None) -> None:
        """Have the broker keep this, or nothing."""
        payload = b"" if change is None else encode_json(change)
        self._session.publish(self._topics.of_device(device, "settings"), payload, retain=True)

    def take(self, message: Received) -> None:
        """Keep one device's settings or answer; what is none of ours is left aside."""
        device = self._topics.device_in(message.topic)
        if device is None:
            return
        with self._news:
            if message.topic == self._topics.of_device(device, "settings"):
                self._keep_wanted(device, message.payload)
            else:
                self._keep_applied(device, message.payload)
            self._news.notify_all()

    def _keep_wanted(self, device: str, payload: bytes) -> None:
        self._wanted.pop(device, None)
        try:
            wanted = decode_json(SettingsChange, payload, LARGEST_BYTES)
        except WireError:  # empty: taken back; or what the device will refuse as well
            return
        if len(self._wanted) < MOST_DEVICES:
            self._wanted[device] = wanted

    def _keep_applied(self, device: str, payload: bytes) -> None:
        try:
            applied = decode_json(SettingsApplied, payload, LARGEST_BYTES)
        except WireError:
            return
        if applied.device == device and (device in self._applied or len(self._applied) < MOST_DEVICES):
            self._applied[device] = applied
            self._answers[device] = self._answers.get(device, 0) + 1
