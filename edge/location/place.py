"""What a source of positions is, and which position a picture gets."""

from __future__ import annotations

import math
from typing import Protocol

from headwater.messages import Position


class Location(Protocol):
    """A source of positions; `at` answers at once, whatever the receiver or the network does."""

    def at(self, monotonic_s: float) -> Position | None:
        """Return the position at that time of the monotonic clock, or None while it is unknown."""
        ...

    def close(self) -> None:
        """Stop asking; `at` may not be called any more."""
        ...


class Unknown:
    """No position of the device's own: only what the pictures carry."""

    def at(self, monotonic_s: float) -> Position | None:
        """Return None."""
        return None

    def close(self) -> None:
        """Do nothing."""


class Fixed:
    """A device that does not move."""

    def __init__(self, position: Position) -> None:
        self._position = position

    def at(self, monotonic_s: float) -> Position | None:
        """Return the place given."""
        return self._position

    def close(self) -> None:
        """Do nothing."""


def place(location: Location, picture: Position | None, monotonic_s: float) -> Position | None:
    """Return the position of a picture: that of `location` where it has one, else the picture's own.

    A location is given explicitly (the default one never has a position), so it is taken to know better than the
    file; while a GPS receiver has no fix, what the picture says is better than nothing.
    """
    return location.at(monotonic_s) or picture


def on_earth(latitude: float, longitude: float) -> bool:
    """Say whether the two are finite degrees within -90..90 and -180..180."""
    return math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180
