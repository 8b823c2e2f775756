"""Several workers are asked at the same time, and none is waited for beyond a deadline.

A container that freezes while it is being asked neither answers nor ends the asking: the alarm inside it is frozen with
it, and the engine's client reads without a deadline. So each question has a thread that the end of the program does not
wait for.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from cloud_worker.autoscale.waiting import Told

AT_ONCE: Final = 8
"""So many workers are asked at the same time."""
WITHIN_S: Final = 12.0
"""An answer that takes longer is none: what asks inside a container ends after 10 s, unless it is frozen."""
LOST_S: Final = 60.0
"""A question that is open for so long is given up: the worker is asked again."""

Answer = tuple[Told, ...]


class Asking:
    """Asks workers by their containers' ids; one that has not answered yet is not asked again meanwhile."""

    def __init__(self, ask: Callable[[str], Answer], within_s: float = WITHIN_S) -> None:
        """Make it; `ask` may take for ever."""
        self._ask, self._within_s = ask, within_s
        self._open_since_s: dict[str, float] = {}

    def answers(self, workers: Sequence[str]) -> dict[str, Answer]:
        """Return what each tells; nothing of one that does not answer in time."""
        until_s = time.monotonic() + self._within_s
        found: dict[str, Answer] = dict.fromkeys(workers, ())
        asked = [one for one in workers if time.monotonic() - self._open_since_s.get(one, -math.inf) > LOST_S]
        turns, heard = deque(asked), SimpleQueue[tuple[str, Answer]]()
        for _ in asked[:AT_ONCE]:
            threading.Thread(target=self._take_turns, args=(turns, heard), name="asking", daemon=True).start()
        try:
            for _ in asked:
                worker, answer = heard.get(timeout=max(0.0, until_s - time.monotonic()))
                found[worker] = answer
        except Empty:
            turns.clear()
        return found

    def _take_turns(self, turns: deque[str], heard: SimpleQueue[tuple[str, Answer]]) -> None:
        while turns:
            try:
                worker = turns.popleft()
            except IndexError:  # another thread was faster
                return
            self._open_since_s[worker] = time.monotonic()
            try:
                answer = self._ask(worker)
            finally:
                self._open_since_s.pop(worker, None)
            heard.put((worker, answer))
