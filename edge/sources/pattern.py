"""A test pattern: colour bars, a box that moves, and the frame's number. No file, no camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from edge.sources.capture import Capture, Pace, Pixels, WhenFull

WIDTH, HEIGHT = 640, 480
SMALLEST, LARGEST = 32, 4096
_BARS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192))
"""White, yellow, cyan, green, magenta, red, blue at 75 %. Source: SMPTE EG 1."""
_DIGITS = 6
# Which of the seven segments of a digit are lit: top, upper right, lower right, bottom, lower left, upper left, middle.
_SEGMENTS = (
    "1111110",
    "0110000",
    "1101101",
    "1111001",
    "0110011",
    "1011011",
    "1011111",
    "1110000",
    "1111111",
    "1111011",
)
_PLACES = (
    (slice(0, 1), slice(0, 4)), (slice(0, 4), slice(3, 4)), (slice(3, 7), slice(3, 4)), (slice(6, 7), slice(0, 4)),
    (slice(3, 7), slice(0, 1)), (slice(0, 4), slice(0, 1)), (slice(3, 4), slice(0, 4)),
)  # fmt: skip


def pattern(index: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Return frame `index` of the test pattern as (height, width, 3) uint8 RGB; the same arguments, the same pixels."""
    picture = _bars(width, height).copy()
    box = max(2, min(width, height) // 6)
    left = index * max(1, width // 80) % (width - box + 1)
    picture[(height - box) // 2 :][:box, left : left + box] = 255
    scale = max(1, min(width // 62, height // 28))
    digits = np.kron(_number(index), np.ones((scale, scale), np.uint8))
    rows, columns = (min(size, limit) for size, limit in zip(digits.shape, (height, width), strict=True))
    picture[:rows, :columns] = digits[:rows, :columns, None]
    return picture


@lru_cache(maxsize=4)
def _bars(width: int, height: int) -> Pixels:
    bar = np.arange(width) * len(_BARS) // width
    return np.broadcast_to(np.array(_BARS, np.uint8)[bar], (height, width, 3))


def _number(index: int) -> Pixels:
    """Return the last six digits of `index`, white on black, (9, 31) uint8."""
    cells = np.zeros((9, 1 + 5 * _DIGITS), np.uint8)
    for place, digit in enumerate(f"{index % 10**_DIGITS:0{_DIGITS}d}"):
        cell = cells[1:8, 1 + 5 * place : 5 + 5 * place]
        for lit, (rows, columns) in zip(_SEGMENTS[int(digit)], _PLACES, strict=True):
            if lit == "1":
                cell[rows, columns] = 255
    return cells


class Pattern:
    """The test pattern as an endless source that waits for whoever takes its pictures."""

    when_full = WhenFull.WAIT

    def __init__(self, width: int, height: int, *, rate: float | None) -> None:
        self._width, self._height, self._rate = width, height, rate
        self.skipped = 0
        self.description = f"test pattern {width}×{height}"

    def captures(self, stop: threading.Event) -> Iterator[Capture]:
        """Yield frame 0, 1, 2 … at the rate, or as fast as they are taken."""
        pace, index = Pace(), 0
        while not stop.wait(pace.wait_s(time.monotonic(), self._rate)):
            captured_ns, begin_ns = time.time_ns(), time.monotonic_ns()
            picture = pattern(index, self._width, self._height)
            yield Capture(
                picture, captured_ns, time.monotonic_ns() - begin_ns, name=f"pattern#{index}", begun_ns=begin_ns
            )
            index += 1

    def close(self) -> None:
        """Do nothing."""
