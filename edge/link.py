"""The link as its own traffic shows it: how long small messages take, and how much longer large ones."""

from __future__ import annotations

from typing import Final

from headwater.messages import Link

SMOOTHING: Final = 0.2
"""The weight of the newest measurement. Source: SCIoT (UBICO/SCIoT_python_client) smooths layer times so."""
SMALL_BYTES: Final = 2_000
"""A message of at most this size tells the round trip; it fits into two Ethernet packets."""


class LinkEstimate:
    """Smoothed round trip and bandwidth from publish-to-acknowledgement times of single messages on an idle link."""

    def __init__(self) -> None:
        self._round_trip_s: float | None = None
        self._bandwidth_bits_per_s: float | None = None

    def acknowledged(self, message_bytes: int, elapsed_s: float) -> None:
        """Take one measurement: a message of this size was acknowledged by the broker after `elapsed_s`."""
        if message_bytes <= SMALL_BYTES or self._round_trip_s is None:
            self._round_trip_s = _smoothed(self._round_trip_s, elapsed_s)
            return
        transfer_s = elapsed_s - self._round_trip_s
        if transfer_s > 0:
            self._bandwidth_bits_per_s = _smoothed(self._bandwidth_bits_per_s, message_bytes * 8 / transfer_s)
        else:
            self._round_trip_s = _smoothed(self._round_trip_s, elapsed_s)

    def link(self) -> Link | None:
        """Return what is known, or None before the first measurement."""
        if self._round_trip_s is None:
            return None
        return Link(self._bandwidth_bits_per_s, self._round_trip_s * 1e3)


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else before + SMOOTHING * (now - before)
