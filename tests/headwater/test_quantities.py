"""Quantities come with units."""

from __future__ import annotations

import pytest

from headwater.errors import SettingsError
from headwater.quantities import bits_per_s, hertz, joules, seconds, share, size_bytes


def test_numbers_come_with_units() -> None:
    """Each quantity in its own, whatever the case."""
    assert bits_per_s("7.2Mbit/s") == 7.2e6
    assert seconds("x", "40ms") == pytest.approx(0.04)
    assert seconds("x", "0s") == 0
    assert hertz("1.5 GHz") == 1.5e9
    assert size_bytes("x", "128KB") == 128_000
    assert size_bytes("x", "1MiB") == 1_048_576
    assert share("x", "95%") == pytest.approx(0.95)
    assert joules("x", "20mJ") == pytest.approx(0.02)
    for wrong in ("", "ms", "-1s", "1e400s", "nan s", "4 parsecs", "1,5GHz", "٣s"):
        with pytest.raises(SettingsError, match="expected a sensible number with its unit"):
            seconds("x", wrong)
