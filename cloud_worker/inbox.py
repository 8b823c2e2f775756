"""What has come in and waits for the worker: a bounded inbox, and the batches taken out of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from headwater.logs import event
from headwater.metrics import Counters
from headwater.session import Received

log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Delivery:
    """One message and the stage clock of its coming in and of its being taken out."""

    message: Received
    received_ns: int
    taken_ns: int = 0
    key: bytes = b""
    """What it and its resends have in common, from when it is in hand."""


class Waiting(NamedTuple):
    """What waits in an inbox at one moment."""

    messages: int
    size_bytes: int
    oldest_ns: int | None
    """The stage clock when the one that waits longest came in."""


class Inbox:
    """A queue between the network thread and the worker, bounded in messages and in payload bytes."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages, self.max_bytes = max_messages, max_bytes
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._news = threading.Condition(threading.Lock())

    def put(self, delivery: Delivery) -> bool:
        """Take a message in, or return False when there is no room for it."""
        size_bytes = len(delivery.message.payload)
        with self._news:
            if len(self._waiting) >= self.max_messages or self._bytes + size_bytes > self.max_bytes:
                return False
            self._waiting.append(delivery)
            self._bytes += size_bytes
            self._news.notify()
        return True

    def take(self, max_size: int, wait_s: float) -> list[Delivery]:
        """Return what is there, oldest first, at most `max_size`; waits at most `wait_s` for the first."""
        with self._news:
            if not self._waiting and wait_s > 0:
                self._news.wait_for(lambda: bool(self._waiting), wait_s)
            taken = [self._waiting.popleft() for _ in range(min(max_size, len(self._waiting)))]
            self._bytes -= sum(len(delivery.message.payload) for delivery in taken)
        return taken

    def waiting(self) -> Waiting:
        """Return what waits now."""
        with self._news:
            oldest_ns = self._waiting[0].received_ns if self._waiting else None
            return Waiting(len(self._waiting), self._bytes, oldest_ns)

    @property
    def has_room(self) -> bool:
        """Tell whether at most half of either bound is used."""
        with self._news:
            return 2 * len(self._waiting) <= self.max_messages and 2 * self._bytes <= self.max_bytes


class Source(Protocol):
    """Where batches come from."""

    def take(self, max_size: int, wait_s: float) -> list[Delivery]:
        """Return what is there; waits at most `wait_s` for the first."""


Release = Literal["idle", "full", "emptied", "waited"]


class Batch(NamedTuple):
    """Messages that are finished together, and why no more were waited for."""

    deliveries: list[Delivery]
    release: Release
    """idle: none came; full: as many as there may be; emptied: no more were there; waited: the wait was over."""


def next_batch(inbox: Source, max_size: int, max_wait_s: float, *, idle_s: float, now_ns: Callable[[], int]) -> Batch:
    """Return the next messages, stamped as taken; none when none came within `idle_s`.

    The first is waited for, then all others until one deadline, `max_wait_s` after the first.
    """
    batch = _stamped(inbox.take(max_size, idle_s), now_ns())
    deadline_ns = now_ns() + round(max_wait_s * 1e9)
    while batch and len(batch) < max_size and (left_ns := deadline_ns - now_ns()) > 0:
        batch += _stamped(inbox.take(max_size - len(batch), left_ns / 1e9), now_ns())
    return Batch(batch, _release(len(batch), max_size, max_wait_s))


def _release(size: int, max_size: int, max_wait_s: float) -> Release:
    if size in (0, max_size):
        return "full" if size else "idle"
    return "waited" if max_wait_s > 0 else "emptied"


def _stamped(taken: list[Delivery], now_ns: int) -> list[Delivery]:
    for delivery in taken:
        delivery.taken_ns = now_ns
    return taken


def grouped(items: Iterable[T], key: Callable[[T], K]) -> list[list[T]]:
    """Return the items in groups of one key, the groups in the order of their first, each in the order of arrival."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


class Receiver:
    """What the network thread runs for each message: a stamp, and into the inbox it belongs to.

    Some brokers do not keep to the receive window that we announce. What there is no room for is acknowledged, so that
    they forget it, and counted; the device sends it again after its time-out.
    """

    def __init__(
        self, frames: Inbox, journeys: Inbox, counters: Counters, now_ns: Callable[[], int],
        ack: Callable[[Received], None],
    ) -> None:  # fmt: skip
        self._frames, self._journeys, self._counters = frames, journeys, counters
        self._now_ns, self._ack = now_ns, ack
        self._is_full = False

    def on_message(self, message: Received) -> None:
        """Take one message in. Runs on the network thread."""
        delivery = Delivery(message, self._now_ns())
        if message.topic.endswith("/journey"):
            if not self._journeys.put(delivery):
                self._counters.add("journeys_dropped")
        elif self._frames.put(delivery):
            if self._is_full and self._frames.has_room:
                self._is_full = False
                log.info(event("inbox has room again"))
        else:
            self._refuse(message)

    def _refuse(self, message: Received) -> None:
        self._counters.add("inbox_full")
        if not self._is_full:
            self._is_full = True
            limit = self._frames
            log.warning(event("inbox full, frames go back to their devices", messages=limit.max_messages,
                              bytes=limit.max_bytes, topic=message.topic))  # fmt: skip
        self._ack(message)
