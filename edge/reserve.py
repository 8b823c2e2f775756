"""Room on a full disk: some is held back for forgetting, which takes room before it gives any."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""More than the journal holds that is not in the file yet: then the file can take it up."""
LEAST_BYTES: Final = 64 * 1024
IN_FILE: Final = 1.25
"""What a message takes of the file, for each of its bytes; as much again of the journal."""


class Reserve:
    """A file beside the spool's that holds nothing."""

    def __init__(self, spool: Path) -> None:
        self.path = spool.with_name(f"{spool.name}.reserve")
        self._is_held = False

    def hold(self) -> None:
        """Take the room, or half of it, or a quarter, where there is so much; nothing when it is held."""
        for size_bytes in () if self._is_held else (RESERVE_BYTES, RESERVE_BYTES // 2, RESERVE_BYTES // 4):
            try:
                with self.path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
            except OSError:
                self.release()
            else:
                self._is_held = True
                return

    def release(self) -> None:
        """Give the room back."""
        self._is_held = False
        with contextlib.suppress(OSError):
            self.path.unlink()


def has_room(folder: Path, message_bytes: int, reusable_bytes: Callable[[], int]) -> bool:
    """Tell whether messages fit on the disk, or into what the spool's file has free in itself. Raises: OSError."""
    free_bytes = shutil.disk_usage(folder).free
    return free_bytes >= 2 * IN_FILE * message_bytes + LEAST_BYTES or reusable_bytes() >= IN_FILE * message_bytes
