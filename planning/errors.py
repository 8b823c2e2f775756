"""The errors of planning."""

from __future__ import annotations

from models.errors import ModelError


class PlanError(ModelError):
    """A price book, a limit or a figure cannot be planned with."""
