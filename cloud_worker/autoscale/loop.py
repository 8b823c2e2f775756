"""The loop: look, decide, act, say; again and again. What it knows is in the containers' labels and its last looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cloud_worker.autoscale.decide import Decision, Limits, Look, decide
from cloud_worker.autoscale.report import Done, Report, as_json, as_text
from cloud_worker.autoscale.template import Container
from cloud_worker.autoscale.waiting import Heard, Told, looked
from headwater.errors import EngineError
from headwater.stopping import Stop


class Workers(Protocol):
    """The workers of one service."""

    project: str
    service: str

    def workers(self) -> Sequence[Container]:
        """Return those that run. Raises: EngineError."""

    def check(self) -> None:
        """Pass where another could be made. Raises: EngineError."""

    def ask(self, workers: Sequence[Container]) -> Mapping[str, Sequence[Told]]:
        """Return what each tells, by its id."""

    def add(self, count: int) -> Done:
        """Make so many more."""

    def remove(self, count: int) -> Done:
        """Stop so many."""


class Scaling:
    """Keeps as many workers as are wanted."""

    def __init__(
        self,
        engine: Workers,
        limits: Limits,
        say: Callable[[str], None],
        *,
        is_dry: bool = False,
        as_json: bool = False,
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Make it; `say` gets every line for people, or with `as_json` for programs."""
        self._engine, self._limits, self._say = engine, limits, say
        self._is_dry, self._as_json, self._now_s, self._wall_s = is_dry, as_json, now_s, wall_s
        self._history: deque[Look] = deque()
        self._heard: dict[str, Heard] = {}
        self._changed_s: float | None = None
        self._expected: int | None = None
        self._said: object = None

    def run(self, stop: Stop, interval_s: float, *, once: bool = False) -> None:
        """Look and act until told to stop, or once. Raises: EngineError where there is nothing to scale.

        A first look knows no sums to compare with, and more workers need two that agree: to decide once takes three.
        """
        self._engine.check()
        self._changed_s = self._changed_before()
        for _ in range(2 if once else 1):
            self.look()
            if stop.wait(interval_s):
                return
        self.step()
        while not once and not stop.wait(interval_s):
            self.step()

    def step(self) -> None:
        """Look, decide, act and say what came of it; an engine that does not answer is asked again the next time."""
        try:
            look = self.look()
        except EngineError as error:
            self._tell(Report(self._wall_s(), error=str(error), is_dry=self._is_dry))
            return
        decision = decide(self._history, self._changed_s, self._limits)
        self._tell(self._acted(look, decision))

    def look(self) -> Look:
        """Return the workers as they are now, and remember them. Raises: EngineError."""
        workers = self._engine.workers()
        look, self._heard = looked(self._now_s(), self._engine.ask(workers), self._heard)
        if self._expected not in (None, look.workers):  # somebody else's change, or a worker that ended
            self._changed_s = look.at_s
        self._expected = look.workers
        self._history.append(look)
        oldest_s = look.at_s - max(self._limits.settle_s, self._limits.cool_down_s)
        while len(self._history) > 1 and self._history[1].at_s <= oldest_s:
            self._history.popleft()
        return look

    def _changed_before(self) -> float | None:
        """Return when the newest of our workers was made, by our clock: an earlier run may have been a moment ago."""
        ours_s = [one.created_s for one in self._engine.workers() if one.is_ours]
        return self._now_s() - max(0.0, self._wall_s() - max(ours_s)) if ours_s else None

    def _acted(self, look: Look, decision: Decision) -> Report:
        change = decision.wanted - decision.workers
        made, stopped = Done(), Done()
        if change and not self._is_dry:
            if change > 0:
                made = self._engine.add(change)
            else:
                stopped = self._engine.remove(-change)
            self._changed_s, self._expected = self._now_s(), look.workers + len(made.names) - len(stopped.names)
        error = made.error or stopped.error
        return Report(self._wall_s(), look, decision, made.names, stopped.names, self._is_dry, error)

    def _tell(self, report: Report) -> None:
        """Say it: as JSON always, to people only what is new."""
        if self._as_json:
            return self._say(as_json(report, self._engine.project, self._engine.service))
        decision = report.decision
        news = (decision.rule, decision.wanted) if decision is not None else report.error
        if news != self._said or report.made or report.stopped:
            self._say(as_text(report))
        self._said = news
        return None
