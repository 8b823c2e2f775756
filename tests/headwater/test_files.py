"""A file that is there as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from headwater.files import write_whole


def test_a_file_has_its_content_and_rights(tmp_path: Path) -> None:
    """The new ones in place of the old, and nothing beside it."""
    file = tmp_path / "key.pem"
    for content, mode in ((b"old", 0o644), (b"new", 0o600)):
        write_whole(file, content, mode)
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (content, mode)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    """Whoever reads it as that user can go on."""
    file = tmp_path / "users"
    write_whole(file, b"old", 0o600)
    os.chown(file, 1234, 1235)
    write_whole(file, b"new", 0o600)
    assert (file.read_bytes(), file.stat().st_uid, file.stat().st_gid) == (b"new", 1234, 1235)


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it points at is replaced."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    write_whole(link, b"content", 0o600)
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    """Neither half of it nor a part beside it."""
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"content", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
