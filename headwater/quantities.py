"""Quantities as people write them: numbers with units."""

from __future__ import annotations

import re
from typing import Final

from headwater.errors import SettingsError

_QUANTITY: Final = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([A-Za-zµ%/]*)", re.ASCII)
_BITS: Final = {"bit/s": 1.0, "kbit/s": 1e3, "mbit/s": 1e6, "gbit/s": 1e9}
_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_HERTZ: Final = {"hz": 1.0, "mhz": 1e6, "ghz": 1e9}
_BYTES: Final = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "kib": 1024.0, "mib": 1024.0**2}
_SHARE: Final = {"": 1.0, "%": 0.01}
_JOULES: Final = {"j": 1.0, "mj": 1e-3}


def bits_per_s(text: str) -> float:
    """Return a bandwidth such as 7.2Mbit/s. Raises: SettingsError."""
    return _read("bandwidth", text, _BITS, "7.2Mbit/s, 300kbit/s or 1Gbit/s", 1.0, 1e13)


def seconds(what: str, text: str) -> float:
    """Return a time such as 40ms. Raises: SettingsError."""
    return _read(what, text, _SECONDS, "40ms or 0.5s", 0.0, 1e6)


def hertz(text: str) -> float:
    """Return a clock such as 1.5GHz. Raises: SettingsError."""
    return _read("clock", text, _HERTZ, "1.5GHz or 600MHz", 1e6, 1e11)


def size_bytes(what: str, text: str) -> float:
    """Return a size such as 128KB. Raises: SettingsError."""
    return _read(what, text, _BYTES, "128KB, 1MiB or 20000", 1.0, 1e12)


def share(what: str, text: str) -> float:
    """Return a share such as 95% or 0.95. Raises: SettingsError."""
    return _read(what, text, _SHARE, "95% or 0.95, up to 100%", 0.0, 1.0)


def joules(what: str, text: str) -> float:
    """Return an energy such as 20mJ. Raises: SettingsError."""
    return _read(what, text, _JOULES, "0.5J or 20mJ", 1e-9, 1e6)


def _read(what: str, text: str, units: dict[str, float], examples: str, least: float, most: float) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    factor = units.get(match[2].lower()) if match else None
    value = float(match[1]) * factor if match and factor is not None else float("nan")
    if not least <= value <= most:
        raise SettingsError(f"{what}: got {text!r}, expected a sensible number with its unit such as {examples}")
    return value
