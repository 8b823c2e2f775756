"""Attributes with a dash in their name, which Python cannot spell as keywords."""

from __future__ import annotations

from typing import Any, Final

HIDDEN: Final[dict[str, Any]] = {"aria-hidden": "true"}
"""Decoration that says nothing to those who listen."""
POLITE: Final[dict[str, Any]] = {"aria-live": "polite"}


def named(text: str, **more: str) -> dict[str, Any]:
    """Return the attribute that says an element's name to those who listen; `more` are other aria attributes."""
    return {"aria-label": text} | {f"aria-{name}": value for name, value in more.items()}


def since(wall_ms: int) -> dict[str, Any]:
    """Return the attribute by which the browser rewrites an element as "12 s ago" every second."""
    return {"data-since-ms": str(wall_ms)}


def of_device(name: str) -> dict[str, Any]:
    """Return the attribute by which the browser knows whose element it is when it is drawn anew."""
    return {"data-device": name}
