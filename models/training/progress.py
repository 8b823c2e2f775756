"""Where a training says how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shows the steps of a training to a person."""

    def expect(self, steps: float) -> None:
        """Say how many steps there will be."""

    def say(self, text: str) -> None:
        """Name what is being done."""

    def step(self, count: float) -> None:
        """Count steps done."""
