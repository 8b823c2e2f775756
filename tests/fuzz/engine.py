"""The coverage-guided loop: what leads to lines or answers that no input led to before is kept, and spoilt further.

Coverage is the lines of our decoders, and what they answered. Most of what reads messages is native (msgspec), where no
line is seen: there each different refusal, which names the place in the message, is the sign of another way taken.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from random import Random
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.judge import ROOT, Verdict, judged
from tests.fuzz.spoil import Pool, pool_of, spoilt
from tests.fuzz.target import Target

PARTS = ("headwater", "models", "planning", "edge", "cloud_worker", "visualizer")
OURS = tuple(f"{ROOT / part}{os.sep}" for part in PARTS)
MOST_ANSWERS = 5_000
"""So many different answers are told apart; unknown names in them could be without end."""
OF_SAMPLES = 0.25
"""So many inputs are made of valid samples: what was kept is mostly refused early, and what comes of it as well."""
WEIGH_EVERY = 64
"""The memory of every so manieth input is measured."""

Line = tuple[int, int]
"""A line, with the number of the code that it is in."""


class Coverage:
    """The lines of ours that inputs have led to, and what was answered."""

    def __init__(self) -> None:
        self.lines: set[Line] = set()
        self.answers: set[str] = set()
        self._codes: dict[int, CodeType] = {}
        self._left: dict[int, set[int]] = {}
        """The lines of each code that nothing has led to yet; of one that is not ours there are none."""
        self._enter = self._tracer()

    def of(self, target: Target, data: bytes) -> tuple[Verdict, bool]:
        """Return the verdict on an input, and whether it led to something new."""
        before = len(self.lines)
        sys.settrace(self._enter)
        try:
            verdict = judged(target, data)
        finally:
            sys.settrace(None)
        is_new = len(self.lines) > before or not self.knows(verdict.said)
        self.hear(verdict.said)
        return verdict, is_new

    def knows(self, said: str) -> bool:
        """Tell whether that was answered before, or too much to tell it apart."""
        return said in self.answers or len(self.answers) >= MOST_ANSWERS

    def hear(self, said: str) -> None:
        """Remember what was answered."""
        if len(self.answers) < MOST_ANSWERS:
            self.answers.add(said)

    def _tracer(self) -> Any:
        lines, left = self.lines, self._left

        def line(frame: FrameType, _event: str, _argument: Any) -> Any:
            place, number = id(frame.f_code), frame.f_lineno
            if number in left[place]:
                left[place].discard(number)
                lines.add((place, number))
            return line

        def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
            place = id(frame.f_code)
            if place not in left:
                self._codes[place] = frame.f_code  # as long as it is kept, no other has its number
                left[place] = lines_of(frame.f_code) if frame.f_code.co_filename.startswith(OURS) else set()
            return line if left[place] else None

        return enter

    def places(self) -> set[str]:
        """Return the lines as file:line, the same in every process."""
        named = ((self._codes[code].co_filename, line) for code, line in self.lines)
        return {f"{name.removeprefix(str(ROOT))}:{line}" for name, line in named}


def lines_of(code: CodeType) -> set[int]:
    """Return the lines that a code runs; the first, of its definition, only where it has no other."""
    found = {line for *_, line in code.co_lines() if line is not None}
    return found if len(found) == 1 else found - {code.co_firstlineno}


class Explorer:
    """Makes inputs for one target and judges them; the same seed makes the same inputs."""

    def __init__(self, target: Target, inputs: Iterable[bytes], seed: int) -> None:
        """Begin with the target's samples, and with inputs that were kept before."""
        self.target, self.coverage, self.done = target, Coverage(), 0
        self.findings: dict[str, bytes] = {}
        """The first input for each way in which the rule was broken."""
        samples = target.samples()
        self._draw, self._pool = Random(seed), pool_of(target, samples)
        self._begin = [data for data in (*samples, *inputs) if len(data) <= 4 * target.most_bytes]
        self._queue: list[bytes] = []

    @property
    def pool(self) -> Pool:
        """What inputs are made of."""
        return self._pool

    @property
    def inputs(self) -> list[bytes]:
        """What is begun with."""
        return self._begin

    def next(self) -> bytes:
        """Return the next input: one to begin with, then a sample or what was kept, spoilt; the latest most often."""
        if self.done < len(self._begin):
            return self._begin[self.done]
        if not self._queue or self._draw.random() < OF_SAMPLES:
            return spoilt(self._draw.choice(self._pool.samples), self._draw, self._pool)
        place = self._draw.random() ** 0.5 if self._draw.random() < 0.5 else self._draw.random()
        return spoilt(self._queue[int(place * len(self._queue))], self._draw, self._pool)

    def judge(self, data: bytes) -> bool:
        """Judge one input, and return whether it is to be kept."""
        verdict, is_new = self._looked_at(data)
        if verdict.finding.startswith("slow"):
            verdict = judged(self.target, data)  # without what watches it
        is_good = self.note(verdict, data)
        if is_good and is_new:
            self._queue.append(data)
        return is_good and is_new

    def _looked_at(self, data: bytes) -> tuple[Verdict, bool]:
        """Return the verdict, and whether it is new: by its lines where they are watched, else by the answer."""
        if self.done >= len(self._begin) and self.done % self.target.watch_every:
            verdict = judged(self.target, data)
            if self.coverage.knows(verdict.said):
                return verdict, False
        return self.coverage.of(self.target, data)

    def note(self, verdict: Verdict, data: bytes) -> bool:
        """Count one input, weigh some of them, and return whether the rule was kept."""
        self.done += 1
        self.coverage.hear(verdict.said)
        if not verdict.finding and self.done % WEIGH_EVERY == 0:
            verdict = judged(self.target, data, weigh=True)
        if verdict.finding:
            self.findings.setdefault(verdict.finding.partition(":")[0], data)
        return not verdict.finding

    def take(self, data: bytes) -> None:
        """Take an input that another process has kept."""
        self._queue.append(data)


def chosen(target: Target, inputs: Iterable[bytes], most: int, most_bytes: int) -> list[bytes]:
    """Return some of the inputs, so many and of so many bytes together at most.

    First the smallest that lead to each line that is reached at all, then some with answers of their own.
    """
    found: list[bytes] = []
    for order, reached in ((len, _lines), (name_of, _answers)):
        coverage = Coverage()
        for data in (*target.samples(), *found):
            coverage.of(target, data)
        for data in sorted(sorted(set(inputs)), key=order):
            before = reached(coverage)
            coverage.of(target, data)
            if reached(coverage) > before and len(found) < most and sum(map(len, found)) + len(data) <= most_bytes:
                found.append(data)
    return found


def _lines(coverage: Coverage) -> int:
    return len(coverage.lines)


def _answers(coverage: Coverage) -> int:
    return len(coverage.answers)


def name_of(data: bytes) -> str:
    """Return what the file of an input is called."""
    return hashlib.sha256(data).hexdigest()[:16]
