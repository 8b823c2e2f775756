"""Decides, while frames flow, how far the device computes: `--split auto`.

One thread: it waits for a profile of this device, then decides a few times a second by what the stream itself shows,
prepares the head of another way beside the capture, and only then puts it in place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edge.decisions import DecisionLog, Here, as_message
from edge.decisions import Head as LogHead
from edge.head import Head, prepare_head
from edge.link import LinkSeen
from edge.observed import Observed, Stages
from edge.plan import Plan
from edge.profile import PICTURES, Measuring, Order, Profile, profile_path, read_profile
from edge.splits import AUTO
from headwater import messages
from headwater.codec import LOSSLESS
from headwater.errors import HeadwaterError
from headwater.host import clock_hz, temperature_c
from headwater.logs import event
from headwater.messages import VERSION, Result
from headwater.metrics import Counters
from models.bundle import Bundle
from models.crop import Crop
from models.engine import Engine
from models.errors import ModelError
from models.exits import ExitRule
from planning.decide import Rates
from planning.live import Decision, Policy, Scheduler
from planning.ways import Conditions, Way

log = logging.getLogger(__name__)

DECIDE_EVERY_S: Final = 0.25
TELL_EVERY_S: Final = 60.0
"""A decision that changes nothing is published so often."""
CLOCK_EVERY_S: Final = 1.0
KEPT_HEADS: Final = 4
ASSUMED: Final = Conditions(bandwidth_bits_per_s=7.2e6, round_trip_s=0.04)
"""Of a link that nothing has passed yet. Source: Luger 2023, section 5.1, the mean bandwidth of its experiments."""


@dataclass(frozen=True)
class Auto:
    """What is wanted of `--split auto`, and where it keeps what it learns."""

    order: Order
    policy: Policy
    rates: Rates
    profiles: Path
    decisions: Path


class AutoSplit:
    """The thread that decides. Heads go to `use` (from now on) or to `probe` (for one frame), decisions to `tell`.

    `tell` gets None when the split is no longer its own to decide.
    """

    def __init__(
        self,
        device: str,
        bundle: Bundle,
        engine: Engine,
        crop: Crop | None,
        auto: Auto,
        *,
        use: Callable[[Head], None],
        probe: Callable[[Head], None],
        tell: Callable[[messages.Decision | None], None],
        link: Callable[[], LinkSeen],
        frames_per_s: Callable[[], float],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._device, self._bundle, self._engine, self._crop, self._auto = device, bundle, engine, crop, auto
        self._use, self._probe, self._tell, self._link, self._frames_per_s = use, probe, tell, link, frames_per_s
        self._now_ns, self._log = now_ns, DecisionLog(auto.decisions)
        self._path = profile_path(auto.profiles, bundle, auto.order)
        self._measuring: Measuring | None = None
        self._pictures: list[np.ndarray] = []
        self._observed: Observed | None = None
        self._scheduler: Scheduler | None = None
        self._heads: OrderedDict[tuple[str, str], Head] = OrderedDict()
        self._rules: Mapping[str, ExitRule] = {}
        self._rules_of_heads: Mapping[str, ExitRule] = self._rules
        self._enabled, self._telling = threading.Event(), threading.Lock()
        self._told, self._told_s = ("", ""), float("-inf")
        self._in_use: tuple[str, str] | None = None
        self._measured: tuple[Way, ...] = ()
        self._clock_s = float("-inf")
        self._clock_hz: float | None = None
        self.decisions = Counters()
        """By why they fell out so."""

    # -- for other threads ---------------------------------------------------------------------------------------------

    def follow(self, plan: Plan) -> None:
        """Decide from now on where the plan leaves the split open, with its rules at the exits."""
        self._rules, self._in_use = plan.rules, None
        if plan.split == AUTO:
            self._enabled.set()
        elif self._enabled.is_set():
            with self._telling:
                self._enabled.clear()
                self._told = ("", "")
                self._tell(None)

    def computed(self, picture: np.ndarray, head: Head, at_exit: str | None, stages_ns: Stages) -> None:
        """Take what the device has computed of a picture, and how long it took; on the capture's thread."""
        if not self._enabled.is_set():
            return
        now_s = time.monotonic()
        if self._observed is None:
            if len(self._pictures) < PICTURES:
                self._pictures.append(picture)
            return
        if now_s - self._clock_s > CLOCK_EVERY_S:
            self._clock_s, self._clock_hz = now_s, clock_hz()
        self._observed.computed(head.split, head.codec, at_exit, stages_ns, self._clock_hz, now_s)

    def answered(self, split: str, codec: str, result: Result, at_ns: int) -> None:
        """Take what a worker says of a frame that was not finished here; on the sender's thread."""
        if self._observed is not None:
            self._observed.answered(split, codec, result, at_ns, time.monotonic())

    def sized(self, split: str, codec: str, message_bytes: int) -> None:
        """Take how long such a frame's message is; on the sender's thread."""
        if self._observed is not None:
            self._observed.sized(split, codec, message_bytes, time.monotonic())

    # -- the thread ----------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Decide until told to stop; without a profile the split stays where it is."""
        try:
            while self._scheduler is None:
                self._look_for_profile()
                if stop.wait(DECIDE_EVERY_S):
                    return
            while not stop.wait(DECIDE_EVERY_S):
                if self._enabled.is_set():
                    self.turn(self._scheduler, time.monotonic())
        except (HeadwaterError, ModelError) as error:
            log.warning(event("split auto stays on the device", reason=error))
        finally:
            if self._measuring is not None:
                self._measuring.stop()

    def _look_for_profile(self) -> None:
        """Take the profile where it is known; else have it measured once there are pictures. Raises: HeadwaterError."""
        if not self._enabled.is_set():
            return
        found = self._measuring.result() if self._measuring else read_profile(self._path)
        if found is not None:
            self.begin(found)
        elif self._measuring is None and len(self._pictures) >= PICTURES:
            log.info(event("measuring a profile", path=self._path))
            self._measuring = Measuring(self._auto.order, self._pictures, self._path)

    def begin(self, profile: Profile) -> None:
        """Decide by this profile from now on."""
        auto, self._pictures = self._auto, []
        self._observed = Observed(profile.ways, profile.clock_hz)
        self._measured = profile.ways
        self._scheduler = Scheduler(profile.ways, auto.rates, auto.policy, ASSUMED)
        bundle = self._bundle
        self._log.begin(
            LogHead(VERSION, self._device, bundle.name, bundle.digest, auto.policy, auto.rates, profile.ways)
        )

    def turn(self, scheduler: Scheduler, now_s: float) -> Decision:
        """Decide once, and put what was decided in place."""
        if self._observed is None:
            raise ValueError("no profile, expected one; call begin first")
        link = self._link()
        limits = replace(self._auto.policy.limits, message_bytes=link.message_bytes)
        scheduler.policy = replace(self._auto.policy, limits=limits)
        scheduler.ways = self._observed.ways(self._measured)
        found = scheduler.decide(self._observed.seen(link, self._frames_per_s()), now_s)
        if not self._put_in_place(found):
            return found
        at_ns = self._now_ns()
        self.decisions.add(found.why)
        self._log.add(found, at_ns, link.message_bytes)
        with self._telling:  # what was decided before the plan was settled must not be told after it
            if self._enabled.is_set():
                self._publish(found, at_ns, now_s)
        return found

    def _put_in_place(self, found: Decision) -> bool:
        """Make the way's head ready and hand it on; a way whose head cannot be made is not taken again."""
        key, before = (found.way.split, found.way.codec), self._in_use
        if found.why != "probe":
            self._in_use = key  # first: whoever changes the plan meanwhile takes it back
        try:
            head = self._head(found.way)
        except (HeadwaterError, ModelError) as error:
            self._in_use = before
            self._measured = tuple(way for way in self._measured if (way.split, way.codec) != key)
            if not any(way.finishes for way in self._measured):
                raise
            log.warning(event("a way is left out", way=found.way.name, reason=error))
            return False
        if found.why == "probe":
            self._probe(head)
        elif before != key:
            self._use(head)
        return True

    def _head(self, way: Way) -> Head:
        key, rules = (way.split, way.codec), self._rules
        if rules is not self._rules_of_heads:
            self._heads.clear()
            self._rules_of_heads = rules
        if key not in self._heads:
            codec = LOSSLESS if way.finishes else way.codec
            self._heads[key] = prepare_head(self._bundle, self._engine, way.split, codec, rules, self._crop)
        self._heads.move_to_end(key)
        if len(self._heads) > KEPT_HEADS:
            self._heads.popitem(last=False)
        return self._heads[key]

    def _publish(self, found: Decision, at_ns: int, now_s: float) -> None:
        said = (found.way.name, found.why)
        if found.why == "probe" or (said == self._told and now_s - self._told_s < TELL_EVERY_S):
            return
        if found.note and self._told[1] != found.why:
            log.warning(event("no way keeps every limit", way=found.way.name, reason=found.note))
        elif said[0] != self._told[0]:
            log.info(event("decided", way=found.way.name, why=found.why))
        self._told, self._told_s = said, now_s
        at_clock = self._observed.clock_hz if self._observed else None
        priced = self._auto.rates.currency if self._auto.rates.names else ""
        self._tell(as_message(found, at_ns, Here(self._device, priced, at_clock, temperature_c())))
