"""What is fuzzed: a decoder, valid samples of what it reads, and the bounds that it has to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Rebuilt = Callable[[bytes, Random], bytes]
"""Takes a message apart, changes its meaning at a few places, and puts it together again."""


@dataclass(frozen=True)
class Target:
    """One decoder. `run` returns in a word what it made of the bytes, or raises an error of ours; nothing else."""

    name: str
    what: str
    """For people: what the bytes are, and from whom they come."""
    samples: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    rebuilt: Rebuilt | None = None
    tokens: tuple[bytes, ...] = ()
    """Words of the format, to be put in."""
    most_bytes: int = 8192
    """Longer inputs are not made."""
    memory_factor: int = 64
    """So many bytes may be taken for each byte of the input …"""
    memory_base: int = 1_000_000
    """… and so many for any."""
    alone: bool = False
    """Whether it may end the process: then it is only fuzzed in processes of its own, not in the tests."""
    watch_every: int = 1
    """The lines of every so manieth input are watched, and of each with a new answer: it takes the time of several."""
    examples: int = 250
    """How many inputs the tests make."""

    def memory_bytes(self, size: int) -> int:
        """Return how much memory an input of this size may take while it is read."""
        return self.memory_base + self.memory_factor * size

    @staticmethod
    def cpu_s(size: int) -> float:
        """Return how much processor time an input of this size may take."""
        return 2.0 + 4e-6 * size
