"""What a killed device's spool tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.spool import Key, Spool
from evaluation.drill_parts import spooled_frames
from headwater.errors import SpoolError


def test_a_spool_is_read_without_being_touched(tmp_path: Path) -> None:
    """Also what stands only in its journal, as a SIGKILL leaves it: the copy is opened, the file stays as it is."""
    spool = Spool(tmp_path / "camera-1.sqlite", 1_000_000)
    spool.commit([(Key("aa", 0), b"x"), (Key("aa", 1), b"y")], [])
    spool.commit([(Key("bb", 0), b"z")], [Key("aa", 0)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert spooled_frames(tmp_path / "camera-1.sqlite") == {("aa", 1), ("bb", 0)}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    spool.close()


def test_a_damaged_spool_is_no_count(tmp_path: Path) -> None:
    """What a SIGKILL left must be whole; if it is not, that is the outcome."""
    (tmp_path / "camera-1.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(SpoolError, match=r"camera-1\.sqlite: found damaged, with 0 frames lost"):
        spooled_frames(tmp_path / "camera-1.sqlite")


def test_a_device_that_never_had_a_spool_holds_nothing(tmp_path: Path) -> None:
    """It was killed before it began."""
    assert spooled_frames(tmp_path / "camera-1.sqlite") == frozenset()
