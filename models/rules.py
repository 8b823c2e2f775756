"""The rules by which an exit decides, by name; nothing heavy is imported with them."""

from __future__ import annotations

from typing import Literal

Rule = Literal["entropy", "normalised-entropy", "top-probability", "margin"]
