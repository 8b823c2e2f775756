"""The window follows the workers' pace: no storm when they come back, no hole when they are there."""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import count

import pytest

from edge.delivery import Delivery
from edge.pace import LEAST, Pace
from edge.spool import Key
from tests.edge.samples import key

TIMEOUT_S, LONGEST_S, WINDOW = 10.0, 120.0, 32


def test_it_is_open_until_an_answer_is_late() -> None:
    """Nothing is known, so nothing is held back but what the user says."""
    delivery = Delivery(TIMEOUT_S, LONGEST_S, lambda: 0.0)
    assert delivery.window(WINDOW) == WINDOW
    assert delivery.pace.patience_s == TIMEOUT_S


def test_silence_shuts_it_and_answers_open_it_again() -> None:
    """Two frames ask whether workers are back; then it doubles with each round up to half, and grows by one beyond."""
    pace = Pace(TIMEOUT_S, LONGEST_S)
    pace.late(0.0, 10.0, 32)
    assert pace.size == LEAST
    for _ in range(14):
        pace.answered(0.1, 20.0, 2)
    assert pace.size == 16.0
    for _ in range(16):
        pace.answered(0.1, 20.0, 16)
    assert 16.9 < pace.size < 17.0


def test_one_frame_that_a_worker_lost_halves_it_once_a_round() -> None:
    """Others were answered meanwhile: workers are there."""
    pace = Pace(TIMEOUT_S, LONGEST_S)
    pace.answered(0.1, 5.0, 32)
    for _ in range(7):
        pace.late(1.0, 11.0, 32)
    assert pace.size == 16.0


def test_answers_that_take_half_of_the_time_out_close_it() -> None:
    """Before any is late."""
    pace = Pace(TIMEOUT_S, LONGEST_S)
    for _ in range(100):
        pace.answered(6.0, 5.0, 32)
    assert pace.size == LEAST


def test_patience_grows_with_what_answers_take_and_is_bounded() -> None:
    """Twice the mean, never less than the time-out, never more than the longest."""
    pace = Pace(TIMEOUT_S, LONGEST_S)
    pace.answered(1.0, 0.0, 1)
    assert pace.patience_s == TIMEOUT_S
    for _ in range(50):
        pace.answered(20.0, 0.0, 1)
    assert pace.patience_s == pytest.approx(40.0, rel=0.01)
    for _ in range(50):
        pace.answered(1e6, 0.0, 1)
    assert pace.patience_s == LONGEST_S


def test_what_answers_took_an_hour_ago_is_forgotten() -> None:
    """Patience is with the workers as they are."""
    pace = Pace(TIMEOUT_S, LONGEST_S)
    for _ in range(50):
        pace.answered(20.0, 0.0, 1)
    pace.answered(1.0, 3600.0, 1)
    assert pace.patience_s == TIMEOUT_S


class Town:
    """Devices, a broker and one worker of a fixed pace, on a clock of paper."""

    def __init__(self, devices: int, frames: int, *, per_s: float, broker_keeps: bool = True) -> None:
        chance = random.Random(4)
        self.devices = [Delivery(TIMEOUT_S, LONGEST_S, chance.random) for _ in range(devices)]
        for device in self.devices:
            device.add(map(key, range(frames)))
        self.now_s, self._per_s, self._keeps = 0.0, per_s, broker_keeps
        self._queue: deque[tuple[int, Key, float]] = deque()
        self._events: list[tuple[float, int, int]] = []  # when, a tie-breaker, whose turn; -1: the worker is done
        self._due_s = [float("inf")] * devices
        self._order, self._is_busy, self.is_there = count(), False, True
        self.sendings = self.worked = 0
        self.answered_s: list[float] = []

    @property
    def left(self) -> int:
        """Return how many frames have no answer yet."""
        return sum(map(len, self.devices))

    def run(self, until_s: float) -> None:
        """Let everybody do what is due until then, or until every frame is answered."""
        for number in range(len(self.devices)):
            self._turn(number)
        while self._events and self._events[0][0] <= until_s and self.left:
            self.now_s, _, number = heapq.heappop(self._events)
            if number < 0:
                self._answer()
            elif self.now_s == self._due_s[number]:
                self._due_s[number] = float("inf")
                self._turn(number)
        if self.left:
            self.now_s = until_s

    def _turn(self, number: int) -> None:
        """Let one device send what it may; the broker acknowledges at once."""
        device = self.devices[number]
        device.again(self.now_s)
        while (due := device.next(self.now_s, WINDOW)) is not None:
            self.sendings += 1
            device.acknowledged(due, self.now_s)
            if self.is_there or self._keeps:
                self._queue.append((number, due, self.now_s))
        due_s = device.next_due_s()
        if due_s is not None and due_s < self._due_s[number]:
            self._due_s[number] = max(due_s, self.now_s + 0.01)
            heapq.heappush(self._events, (self._due_s[number], next(self._order), number))
        self._work()

    def _work(self) -> None:
        if self.is_there and self._queue and not self._is_busy:
            self._is_busy = True
            heapq.heappush(self._events, (self.now_s + 1 / self._per_s, next(self._order), -1))

    def _answer(self) -> None:
        self._is_busy = False
        number, one, sent_s = self._queue.popleft()
        self.worked += 1
        if self.devices[number].answered(one, self.now_s, self.now_s - sent_s):
            self.answered_s.append(self.now_s)
        self._turn(number)
        self._work()


@pytest.mark.parametrize("broker_keeps", [True, False])
def test_ten_thousand_frames_after_an_hour_without_workers(broker_keeps: bool) -> None:
    """Under 2 % are sent twice, and the worker that comes back is busy with new frames from the first minute on."""
    frames, per_s, away_s = 10_000, 20.0, 3600.0
    town = Town(1, frames, per_s=per_s, broker_keeps=broker_keeps)
    town.is_there = False
    town.run(away_s)
    town.is_there = True
    town.run(away_s + 2 * frames / per_s)
    assert town.left == 0
    assert town.sendings - frames < 0.02 * frames
    waits_s = town.answered_s[0] - away_s
    assert waits_s <= LONGEST_S * 1.25 + 1 / per_s
    took_s = town.now_s - town.answered_s[0]
    assert took_s < 1.02 * frames / per_s


@pytest.mark.parametrize("per_s", [0.5, 5.0, 500.0])
def test_one_device_keeps_a_worker_of_any_pace_busy(per_s: float) -> None:
    """Slow or fast: it is never idle for want of frames, and few frames come to it twice."""
    frames = 500
    town = Town(1, frames, per_s=per_s)
    town.run(1e6)
    assert town.left == 0
    assert town.now_s < 1.1 * frames / per_s
    assert town.sendings - frames < 0.1 * frames


def test_a_fleet_that_comes_back_at_once_does_not_storm() -> None:
    """A hundred devices of a hundred frames each on a worker that takes 20 a second: the work is done about once."""
    devices, frames, per_s, away_s = 100, 100, 20.0, 1800.0
    town = Town(devices, frames, per_s=per_s, broker_keeps=False)
    town.is_there = False
    town.run(away_s)
    sent_in_vain = town.sendings
    town.is_there = True
    town.run(away_s + 1e5)
    assert town.left == 0
    assert town.sendings - sent_in_vain < 1.25 * devices * frames
    assert town.answered_s[-1] - town.answered_s[0] < 1.3 * devices * frames / per_s
