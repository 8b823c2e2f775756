"""Every decoder that is fuzzed, by its name."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from tests.fuzz import files, parts, site, wire
from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
"""Inputs that are kept: one for each thing that a decoder does or says, and those that once broke the rule."""
TARGETS = {target.name: target for target in (*wire.TARGETS, *files.TARGETS, *parts.TARGETS, *site.TARGETS)}


@cache
def named(name: str) -> Target:
    """Return the target of that name, or that at `module:attribute`. Raises: KeyError."""
    module, colon, attribute = name.partition(":")
    found: Target = getattr(importlib.import_module(module), attribute) if colon else TARGETS[name]
    return found


def kept(name: str, folder: Path = CORPUS) -> list[bytes]:
    """Return the inputs that are kept for a target, in the order of their names."""
    place = folder / name
    return [path.read_bytes() for path in sorted(place.iterdir()) if path.is_file()] if place.is_dir() else []
