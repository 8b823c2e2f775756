"""What a worker process has in hand, in a small file that outlives it: the next one refuses what ended this one.

A worker keeps nothing, and a device sends a frame again until it is answered. So a frame at which a model hangs or
crashes would end one process after the other, for ever.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headwater.errors import SettingsError

if TYPE_CHECKING:
    from headwater.session import Received

SUSPECT: Final = 1
"""So many strikes, and a message is run by itself, to see whether it is the one."""
REFUSED: Final = 2
"""So many, and it is not run again."""
HELD: Final = 32
"""Of a batch that is run at once so many are known afterwards."""
STRUCK: Final = 64
"""The messages with strikes; the oldest is forgotten for a new one."""
_MAGIC: Final = b"headwater hand 1"
_KEY_BYTES: Final = 16
_NEXT, _HUNG, _TICKS, _COUNT, _KEYS = 16, 17, 18, 19, 20
_STRIKES: Final = _KEYS + HELD * _KEY_BYTES
_ENTRY: Final = _KEY_BYTES + 1
_SIZE: Final = _STRIKES + STRUCK * _ENTRY


def key_of(message: Received) -> bytes:
    """Return what a message and its resends have in common: topic and frame id, without an id the bytes."""
    found = hashlib.blake2b(message.topic.encode(), digest_size=_KEY_BYTES)
    found.update(b"\0" + (message.correlation or message.payload))
    return found.digest()


class Hand:
    """The memory of one process; its own thread writes what it holds, who starts the next one the strikes."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the file, None: for this process alone. Raises: SettingsError for a file that is no such one."""
        self._memory = mmap.mmap(-1, _SIZE) if path is None else _mapped(path)
        if path is None:
            self._memory[: len(_MAGIC)] = _MAGIC

    def hold(self, keys: Sequence[bytes]) -> None:
        """Note what is worked on from now on; after a hang nothing, for the process ends by what it held then."""
        if self._memory[_HUNG]:
            return
        keys = keys[:HELD]
        self._memory[_KEYS : _KEYS + _KEY_BYTES * len(keys)] = b"".join(keys)
        self._memory[_COUNT] = len(keys)

    def empty(self) -> None:
        """Note that nothing is worked on; not after a hang."""
        if not self._memory[_HUNG]:
            self._memory[_COUNT] = 0

    def note_hang(self) -> None:
        """Note that the process ends because of what it holds; its thread may go on for a moment."""
        self._memory[_HUNG] = 1

    @property
    def ticks(self) -> int:
        """Changes while the process's watchdog runs; 0: it does not run yet, or no longer."""
        return self._memory[_TICKS]

    def tick(self) -> None:
        """Say that the watchdog runs."""
        self._memory[_TICKS] = self._memory[_TICKS] % 255 + 1

    def tick_no_more(self) -> None:
        """Say that nothing is to be expected of the watchdog."""
        self._memory[_TICKS] = 0

    def ended(self, *, crashed: bool = False) -> dict[bytes, int]:
        """Return what a process held when it ended, with the strikes for it, and forget it.

        A message that it hung or crashed at has two; one of several, or one that somebody's kill met, has one.
        """
        count = min(self._memory[_COUNT], HELD)
        kept = self._memory[_KEYS : _KEYS + _KEY_BYTES * count]
        sure = count == 1 and (crashed or bool(self._memory[_HUNG]))
        self._memory[_COUNT] = self._memory[_HUNG] = self._memory[_TICKS] = 0
        strikes = REFUSED if sure else SUSPECT
        return {kept[at : at + _KEY_BYTES]: strikes for at in range(0, len(kept), _KEY_BYTES)}

    def strike(self, strikes: Mapping[bytes, int]) -> None:
        """Add strikes to messages."""
        for key, more in strikes.items():
            at = self._place(key)
            if at is None:
                at = _STRIKES + self._memory[_NEXT] % STRUCK * _ENTRY
                self._memory[_NEXT] = (self._memory[_NEXT] + 1) % STRUCK
                self._memory[at : at + _ENTRY] = key + b"\0"
            self._memory[at + _KEY_BYTES] = min(255, self._memory[at + _KEY_BYTES] + more)

    def strikes(self, key: bytes) -> int:
        """Return how many strikes a message has."""
        at = self._place(key)
        return 0 if at is None else self._memory[at + _KEY_BYTES]

    def _place(self, key: bytes) -> int | None:
        at = self._memory.find(key, _STRIKES)
        return at if at >= 0 and (at - _STRIKES) % _ENTRY == 0 else None


def _mapped(path: Path) -> mmap.mmap:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(file).st_size == 0:
                os.pwrite(file, _MAGIC.ljust(_SIZE, b"\0"), 0)
            found = mmap.mmap(file, os.fstat(file).st_size)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"--in-hand-file: {path} cannot be used ({error}); name a file that can be written"
        ) from None
    if len(found) != _SIZE or found[: len(_MAGIC)] != _MAGIC:
        found.close()
        raise SettingsError(f"--in-hand-file: {path} holds something else; name a file of its own, or remove that one")
    return found
