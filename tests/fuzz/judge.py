"""Judges what a decoder does with an input: its own error or a value, nothing else, in bounded time and memory."""

from __future__ import annotations

import re
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from headwater.errors import HeadwaterError
from models.errors import ModelError
from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
OURS = (HeadwaterError, ModelError)
MOST_READ, MOST_TOLD = 40_000, 240
"""Characters of an error: of what was got, which may be the whole input, and of what is left without it."""
_DETAIL = re.compile(
    r"""(?<=\bkey ).*?(?= means nothing)|unknown field `.*?(?:`(?= - at |\Z)|\Z)"""
    r"""|Invalid (?:enum )?value '.*?(?:'(?= - at |\Z)|\Z)"""
    r"""|0x[0-9a-f]+|[0-9]+|(?<![a-z])b?'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)""",
    re.DOTALL,
)
"""What settings and msgspec name as it came; a number; what is written in quotes, also where it is cut short."""


@dataclass(frozen=True)
class Verdict:
    """What was said of an input, without numbers and names; and how the rule was broken, empty where it was kept."""

    said: str
    finding: str = ""


def judged(target: Target, data: bytes, *, weigh: bool = False) -> Verdict:
    """Return the verdict on one input; `weigh` also asks how much memory was taken, which takes longer.

    The memory is that of Python, numpy, msgspec and zstandard; a process that fuzzes bounds all others as well.
    """
    if weigh:
        tracemalloc.start()
    began_s = time.thread_time()
    try:
        verdict = _said(target, data)
        took_s = time.thread_time() - began_s
        peak_bytes = tracemalloc.get_traced_memory()[1] if weigh else 0
    finally:
        if weigh:
            tracemalloc.stop()
    if verdict.finding:
        return verdict
    if took_s > target.cpu_s(len(data)):
        return Verdict(verdict.said, f"slow: over {target.cpu_s(0):g} s of processor time")
    if peak_bytes > target.memory_bytes(len(data)):
        return Verdict(verdict.said, f"memory: over {target.memory_factor} B for each byte and {target.memory_base} B")
    return verdict


def _said(target: Target, data: bytes) -> Verdict:
    try:
        return Verdict(f"taken: {target.run(data)}")
    except OURS as error:
        return Verdict(told(error))
    except Exception as error:
        reason = f"{type(error).__name__} in {_place(error)}"
        return Verdict(reason, f"{reason}: {' '.join(str(error).split())[:200]}")


def told(error: Exception) -> str:
    """Return what an error says, the same for whatever was got at the same place: no number, no name, no value."""
    return f"{type(error).__name__}: {_DETAIL.sub('#', str(error)[:MOST_READ])[:MOST_TOLD]}"


def _place(error: BaseException) -> str:
    """Return the innermost function of ours that an error came through."""
    place, step = "?", error.__traceback__
    while step is not None:
        path = Path(step.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            place = f"{path.relative_to(ROOT)}, {step.tb_frame.f_code.co_name}"
        step = step.tb_next
    return place
